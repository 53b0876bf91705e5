"""Migrations of the audit record, oldest first by their `down_revision`."""
