"""Tables and statements of the audit record."""
