"""Access keys, sessions, pull tokens and OIDC tokens: what authenticates a principal."""
