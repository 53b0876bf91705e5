"""The contract of a blob store. `open.py` opens the one that the settings name.

Bytes arrive in an *upload*, named by its id, and become an immutable *object* in one step. The object's key is the
upload's id: nothing is copied to its place, and no key is used twice.

The metadata own the state of an upload. A `Staged` records which bytes belong to it; what the store holds beyond that
does not count and is overwritten or deleted later. `append` returns the next `Staged`, and the caller records it in a
transaction that fails if another request recorded one first (compare-and-set on the size of the upload). A store never
decides on its own how far an upload is, computes no digests, and knows nothing of repositories or access.

A store of files has no minimum part size, so it writes what arrives at once (`part_size` is 1). A store with a minimum
keeps fixed-size parts and returns the remainder as *pieces*.

Undefined: `read` of an object that is being deleted (it may finish or raise); `append` and `commit` by two callers at a
time, or without holding the upload's lock; what `leftovers` yields for uploads and objects that change meanwhile.

How S3 fulfills it
- `session` is the id of a multipart upload, a part's `etag` is its ETag. `append` calls CreateMultipartUpload when the
  first part is full, then UploadPart with 8 MiB each (10,000 parts reach 78 GiB). When it fails, it aborts a multipart
  upload that it created, so that refused requests fill no bucket. After a crash no row names that multipart upload;
  `leftovers` lists it (ListMultipartUploads) and `abort` ends it.
- A remainder up to `LARGEST_PIECE` comes back as bytes, for a row of the metadata. A longer one is put as the object
  `tails/<id>/<offset>-<random>`, which no other holder can replace, and its name comes back. `append` reads pieces when
  a part gets full. It may delete tail objects that end before the parts it was given: a recorded part has their bytes.
- The lock of an upload is a lease in a row of the metadata, renewed every 5 s for 15 s. A holder that lost its lease
  may still upload a part. That changes the ETag, and CompleteMultipartUpload then fails with InvalidPart: `commit`
  raises `UploadGoneError` instead of mixing the bytes of two requests.
- `commit` sends the pieces as the last part (UploadPartCopy when they are one tail object), completes, then deletes
  the tail objects. An upload without parts is one PutObject. When the answer was lost, the next `commit` gets
  NoSuchUpload, compares the length of the object (HeadObject) with `size`, and succeeds. The rows that name the object
  are written afterward, in one transaction; the caller that loses a race for a digest deletes its own object.
- `append` to a completed upload gets NoSuchUpload too. HeadObject finds the object, so it raises `CommittedError`; with
  `reopen` it begins a new multipart upload whose parts are copied from the object (UploadPartCopy). For an upload with
  bytes but without a session it asks HeadObject first, because PutObject may have made it an object.
- The SHA-256 of an upload that continues on another node: see `registry.layers.running_digests`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

LARGEST_PIECE: Final = 256 << 10
"""Bytes of a piece that the metadata keep. A store keeps longer ones itself."""


class BlobStoreError(Exception):
    """Base class of what a blob store raises. Everything else is a fault of the disk, the network or the program."""


class ObjectNotFoundError(BlobStoreError):
    """There is no such object, or it ends before the bytes that were asked for."""


class UploadGoneError(BlobStoreError):
    """The store no longer has the bytes that are recorded for the upload: it was aborted, or a crash took them."""


class CommittedError(BlobStoreError):
    """The upload is an object already."""


class StoreFullError(BlobStoreError):
    """There is no room for more bytes. The upload is as it was recorded."""


class UploadBusyError(BlobStoreError):
    """Another caller holds the upload and makes progress."""


class TakenOverError(BlobStoreError):
    """The body stalled while another caller waited for the upload."""


class Part(NamedTuple):
    """Bytes of an upload that the store holds."""

    size: int
    etag: str
    """Changes whenever the bytes do. Empty: the store cannot tell whether they have changed."""


class Piece(NamedTuple):
    """Bytes after the last part of an upload, too few to be a part."""

    size: int
    content: bytes | None
    """The bytes; None when the store keeps them."""
    name: str | None = None
    """The name under which the store keeps them."""


class Staged(NamedTuple):
    """The bytes of an upload, as the metadata record them: the parts, then the pieces."""

    id: str
    session: str | None = None
    """What the store calls the unfinished upload; None until it has begun one."""
    parts: tuple[Part, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def in_parts(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def size(self) -> int:
        return self.in_parts + sum(piece.size for piece in self.pieces)


class Leftover(NamedTuple):
    """Something that the store holds, to be compared with the metadata."""

    kind: Literal["upload", "object"]
    name: str
    """The id of the upload, or the key of the object."""
    modified_at: float
    """Seconds since the epoch, by the store's clock."""
    size: int
    """Bytes; of an upload those that the store holds, whether recorded or not."""


class Hold(Protocol):
    """The lock of an upload, held."""

    def guard(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return `body`, which raises TakenOverError when it stalls while another caller waits for the upload."""
        ...


class UploadLocks(Protocol):
    """One caller at a time changes an upload, among all processes that share the store."""

    def hold(self, upload: str) -> AbstractAsyncContextManager[Hold]:
        """Lock the upload, which need not exist, until the context ends. A holder that dies has unlocked it.

        Another caller waits until the holder ends, or until the holder's guarded body stalls, which ends the holder.
        Raises UploadBusyError when neither happens for some seconds. The upload may have changed while the caller
        waited, so what it knew of it must be read again.
        """
        ...


class BlobStore(Protocol):
    """Ten methods. Every one may be called from any task of the event loop in which the store was opened."""

    part_size: int
    """Bytes of each part but the last. With 1, parts have any size, and `append` returns no pieces."""
    locks: UploadLocks
    """Hold the lock of an upload during `append` and `commit`; `abort` needs none."""

    async def append(self, staged: Staged, body: AsyncIterator[bytes], *, reopen: bool = False) -> Staged:
        """Add the bytes of `body` after those of `staged`, and return what is to be recorded.

        Pieces of `staged` may become part of a part. A part with the number of one that `staged` has replaces it.
        Holds a few MiB or twice the `part_size` in memory, however long the body is. Not durable until `commit`.

        When `body` raises, its exception is raised and the upload is as `staged` says: the bytes that arrived are
        dropped. A caller that wants to keep them ends the body instead. Raises UploadGoneError, at the latest when the
        body has gone on for a few MiB after an abort; StoreFullError. Raises CommittedError before it asks `body` for
        anything, unless `reopen` is set: then the object becomes an upload again, and nothing may refer to it.
        """
        ...

    async def commit(self, staged: Staged) -> bool:
        """Make the upload, exactly the bytes that `staged` says, an object with the key `staged.id`, durably.

        Returns whether the store knows that they are the bytes that were appended. If it does not (the machine crashed,
        or an earlier `append` died half-way), read the object and compare its digest before anything refers to it.
        Committing the same bytes again succeeds, also after an answer that was lost. Raises StoreFullError, and
        UploadGoneError also for pieces that were recorded after the upload had become an object.
        """
        ...

    async def abort(self, upload: str) -> None:
        """Delete what is staged under this id. Succeeds if nothing is. Never deletes an object, even of that key."""
        ...

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes `start` (inclusive) to `end` (exclusive) of an object in chunks; ObjectNotFoundError."""
        ...

    async def url_for(self, key: str, *, seconds: float, content_type: str) -> str | None:
        """Return a URL at which anybody can get the object for that long, with that media type.

        None where clients cannot reach the bytes without this server. The object is not looked up.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """Return the file with the object's bytes, which need not exist; None when objects are not files."""
        ...

    async def length(self, key: str) -> int | None:
        """Return the number of bytes of the object; None when there is none."""
        ...

    async def delete(self, key: str, *, keep_for_examination: bool = False) -> bool:
        """Delete the object; return whether there was one.

        With `keep_for_examination` the bytes stay where an operator finds them, but are no object anymore.
        """
        ...

    def leftovers(self) -> AsyncIterator[Leftover]:
        """Yield every upload and every object that the store holds, in no order."""
        ...

    async def close(self) -> None:
        """Wait for the work that has begun, then free threads and connections. The store is not used afterward."""
        ...
