"""Statements about images and tags, live and in the trash."""
