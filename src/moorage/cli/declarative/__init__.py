"""`moorage apply` and `moorage export`."""
