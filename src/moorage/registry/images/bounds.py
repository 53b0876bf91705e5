"""How many tags one answer may hold. Its bytes are bounded by `moorage.pages`."""

PAGE_TAGS = 10_000
"""Tags, of up to 300 bytes each."""
