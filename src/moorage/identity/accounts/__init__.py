"""Accounts, organizations and the deployment they belong to."""
