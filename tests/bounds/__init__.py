"""Bounds: what callers send or do makes nothing grow without a limit, and holds nobody else up."""
