"""The contract of a blob store.

Bytes arrive in an *upload*, named by its id, and become an immutable *object*, named by a key, in one step. A store
knows nothing of digests, repositories or access: the registry does.

Undefined: `read` of an object that is being deleted (it may finish or raise).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol


class Leftover(NamedTuple):
    """An upload or an object that the store holds, for the sweep to compare with the metadata."""

    kind: str  # "upload" | "object"
    name: str
    modified_at: float  # seconds since the epoch


class Appended(NamedTuple):
    """An upload after an append."""

    size: int  # bytes in all
    sha256: str | None  # hex digest of all of them; None when an earlier part's running hash was not at hand


class BusyError(Exception):
    """Another request adds bytes to the upload without a pause."""


class TakenOverError(Exception):
    """The body stalled while another request waited for the upload, and had to give way to it."""


class HeldUpload(Protocol):
    """An upload that nobody else changes as long as it is held."""

    is_committed: bool
    """It is an object already. When the upload is still known, whoever made it one failed before recording that."""

    async def size(self) -> int:
        """Bytes the upload has; 0 when it has none yet."""
        ...

    async def append(self, offset: int, body: AsyncIterator[bytes]) -> Appended:
        """Write `body` at `offset`, dropping whatever lay beyond it.

        Hashes and writes off the event loop in batches of about 1 MiB. When `body` raises, what arrived before stays
        (the caller sees the exception and may ask `size`). Not durable until `commit`.
        Raises `moorage.errors.InsufficientStorage` when there is no room, LookupError when the upload has fewer than
        `offset` bytes and when it is aborted meanwhile, TakenOverError.
        """
        ...

    async def digest(self, algorithm: str) -> str:
        """The hex digest of the whole upload, read again unless it is known; `algorithm` is `sha256` or `sha512`."""
        ...

    async def commit(self) -> None:
        """Make the upload an object whose key is the upload's id, durably. LookupError when it has been aborted."""
        ...

    async def reopen(self) -> None:
        """Make the object an upload again. Nothing may refer to it."""
        ...


class BlobStore(Protocol):
    """Files first (`files.py`); written so that an S3 multipart upload fits it."""

    def hold(self, upload: str) -> AbstractAsyncContextManager[HeldUpload]:
        """Hold the upload, which need not exist yet; it is released at the end of the context.

        One caller at a time, of all worker processes. Another one waits until the holder ends, or until the holder's
        body stalls, which ends it (TakenOverError there). BusyError when neither happens for some seconds. What the
        caller knew of the upload may have changed while it waited. A holder that dies has released the upload.
        """
        ...

    async def abort(self, upload: str) -> None:
        """Forget the upload; nothing when there is none."""
        ...

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes `start` (inclusive) to `end` (exclusive) of an object, in chunks; LookupError when it is gone."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file that holds the object, when a server may send it itself; None where there is none."""
        ...

    async def length(self, key: str) -> int | None:
        """The bytes that the object has; None when it is gone."""
        ...

    async def delete(self, key: str) -> None:
        """Free the object; nothing when there is none."""
        ...

    async def set_aside(self, key: str) -> bool:
        """Keep the object's bytes for examination, but no longer as an object; False when there is none.

        For objects that were found damaged.
        """
        ...

    def leftovers(self) -> AsyncIterator[Leftover]:
        """Every upload and object held, in no order."""
        ...
