"""Credentials become a principal; principal, action and resource become a decision; decisions are recorded."""
