"""Repositories: their rules and their state."""
