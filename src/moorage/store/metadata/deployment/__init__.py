"""Statements about the deployment as a whole."""
