"""Registry policies: which policy a registry has, and which ones it had."""
