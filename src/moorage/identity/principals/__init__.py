"""Users, groups and roles."""
