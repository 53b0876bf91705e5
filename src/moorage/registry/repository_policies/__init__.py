"""Repository policies: which policy a repository has, and which ones it had."""
