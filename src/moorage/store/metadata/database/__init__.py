"""The database: its contract, and SQLite and PostgreSQL behind it."""
