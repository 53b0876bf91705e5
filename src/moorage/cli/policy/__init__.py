"""`moorage policy`: lint, generate and try policies."""
