"""Statements about blobs, layers and uploads."""
