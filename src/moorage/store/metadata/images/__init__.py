"""Statements about images, tags and what was deleted."""
