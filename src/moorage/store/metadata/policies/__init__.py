"""Statements about policy documents and the policies that use them."""
