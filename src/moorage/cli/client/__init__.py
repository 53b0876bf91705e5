"""Commands and helpers that talk to a running server."""
