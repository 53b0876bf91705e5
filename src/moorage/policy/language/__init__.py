"""The policy language: from JSON text to elements to a compiled document, and its canonical form."""
