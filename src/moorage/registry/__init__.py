"""Repositories, images, tags, layers, uploads and their policies: rules and state changes; owns transactions."""
