"""Repository policies and registry policies, stored with their history."""
