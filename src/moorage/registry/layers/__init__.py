"""Layers: blobs of repositories, and the uploads that create them."""
