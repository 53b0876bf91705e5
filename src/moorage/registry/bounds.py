"""How much one answer may hold, whatever a client asks for: a worker builds several at once."""

PAGE_BYTES = 4 << 20
"""Bytes of manifests or annotations. One item longer than that is an answer of its own."""
PAGE_TAGS = 10_000
"""Tags, of up to 300 bytes each."""
