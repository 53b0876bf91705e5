"""Migrations of the metadata, oldest first by their `down_revision`."""
