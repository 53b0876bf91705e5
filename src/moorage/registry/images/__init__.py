"""Images: manifests and tags, pushed, pulled, listed and deleted."""
