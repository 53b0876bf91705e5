"""Statements about accounts, identities, their policies and credentials."""
