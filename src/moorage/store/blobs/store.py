"""The contract of a blob store.

Bytes arrive in an *upload*, named by its id, and become an immutable *object*, named by a key, in one step. A store
knows nothing of digests, repositories or access: the registry does.

Undefined: two `append`s of one upload at once (the registry lets one in at a time in a process; across processes the
registry's transaction on the upload's size decides who won, and the loser's bytes beyond it are cut off by the next
append), `read` of an object that is being deleted (it may finish or raise), anything on an upload after `commit`.
"""

from collections.abc import AsyncIterator
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


class BlobStore(Protocol):
    """Files first (`files.py`); written so that an S3 multipart upload fits it."""

    async def append(self, upload: str, offset: int, body: AsyncIterator[bytes]) -> Appended:
        """Write `body` at `offset`, dropping whatever lay beyond it; the upload begins with its first append.

        Hashes and writes off the event loop in batches of about 1 MiB. When `body` raises, what arrived before stays
        (the caller sees the exception and may ask `size`). Not durable until `commit`.
        Raises `moorage.errors.InsufficientStorage` when there is no room, LookupError when the upload holds fewer than
        `offset` bytes, and while another append to it is under way.
        """
        ...

    async def size(self, upload: str) -> int:
        """Bytes the upload holds; 0 when it has none yet."""
        ...

    async def digest(self, upload: str, algorithm: str) -> str:
        """The hex digest of the whole upload, read again unless it is known; `algorithm` is `sha256` or `sha512`.

        LookupError when the upload has not begun.
        """
        ...

    async def commit(self, upload: str, key: str, *, digest: str | None = None) -> None:
        """Make the upload the object `key`, durably; an object already there is replaced by equal bytes.

        With `digest` (`sha256:…`, `sha512:…`) the upload must hold exactly those bytes at that moment, whatever another
        process did to it since they were checked. LookupError when it does not, when it has not begun (or is an object
        already), and while it is being appended to.
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
