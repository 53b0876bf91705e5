"""The policies of users, groups and roles: managed, inline and boundaries."""
