"""`moorage audit` and the times it accepts."""
