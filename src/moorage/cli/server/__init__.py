"""Commands that start, set up and check a server on this machine."""
