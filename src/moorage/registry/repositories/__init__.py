"""Repositories: created, described, tagged, changed and deleted."""
