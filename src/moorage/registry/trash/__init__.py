"""Deleted repositories, images and tags that can still be restored."""
