"""Reads whole objects to compute their digests."""

import asyncio
import hashlib
from pathlib import Path
from typing import Final

from moorage.store.blobs.store import BlobStore, ObjectNotFoundError

_BATCH: Final = 1 << 20
"""Bytes hashed at a time."""


async def digest_of_object(store: BlobStore, key: str, size: int, algorithm: str) -> str:
    """Return the hex digest of the first `size` bytes of the object. ObjectNotFoundError, OSError.

    Reads and hashes off the event loop, and holds a few MiB.
    """
    path = store.local_path(key)
    if path is not None:  # several times as fast as one piece after another
        return await asyncio.to_thread(_digest_of_file, path, algorithm)
    found = hashlib.new(algorithm)
    batch: list[bytes] = []
    held = 0
    async for chunk in store.read(key, 0, size):
        batch.append(chunk)
        held += len(chunk)
        if held >= _BATCH:
            await asyncio.to_thread(found.update, b"".join(batch))
            batch, held = [], 0
    found.update(b"".join(batch))
    return found.hexdigest()


def _digest_of_file(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except FileNotFoundError as error:
        raise ObjectNotFoundError(path.name) from error
