"""The engine: a request and its policies in, a decision out."""
