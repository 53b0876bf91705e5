"""Web pages for browsers."""
