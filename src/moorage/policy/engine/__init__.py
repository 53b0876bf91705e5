"""The engine: from a request and its policies to a decision."""
