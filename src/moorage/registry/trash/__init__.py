"""The trash: deleted repositories, images and tags, restored or destroyed."""
