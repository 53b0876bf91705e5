"""Statements about policy documents, policies and their histories."""
