"""Opens the blob store that the settings name: the one place outside the tests that knows which stores there are."""

from moorage.settings import Settings
from moorage.store.blobs.files import FileBlobStore
from moorage.store.blobs.memory import MemoryBlobStore
from moorage.store.blobs.store import BlobStore


def open_blob_store(settings: Settings) -> BlobStore:
    """Open the store, and create its directory when it is missing."""
    root = settings.data / "blobs"
    if settings.blob_store == "memory":
        return MemoryBlobStore(root / "locks")
    return FileBlobStore(root)
