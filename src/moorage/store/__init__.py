"""Where things are kept: metadata in a database, blobs as objects."""
