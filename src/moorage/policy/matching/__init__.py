"""Matching: how one element of a statement is compared with a request."""
