"""The policy language: JSON text to elements to a document, and its canonical form."""
