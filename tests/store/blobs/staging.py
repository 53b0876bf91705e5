"""What the tests of blob stores share."""

import hashlib
from collections.abc import AsyncIterator

from moorage.store.blobs.store import BlobStore, Staged

MIB = 1 << 20


async def stream(*chunks: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    """A body that raises `then` at its end."""
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


async def append(store: BlobStore, staged: Staged, body: AsyncIterator[bytes]) -> Staged:
    """Append under the upload's lock, as the registry does."""
    async with store.locks.hold(staged.id) as hold:
        return await store.append(staged, hold.guard(body))


async def put(store: BlobStore, key: str, *chunks: bytes) -> None:
    """Store an object."""
    assert await store.commit(await append(store, Staged(key), stream(*chunks)))


async def whole(store: BlobStore, key: str, length: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, 0, length)])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
