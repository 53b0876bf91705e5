"""How the bytes of an upload become a layer: stored once, and replaced where the stored ones are lost."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from moorage.errors import (
    InsufficientStorage,
    InvalidLayer,
    RepositoryNotFound,
    UploadBusy,
    UploadNotFound,
    UploadTakenOver,
)
from moorage.names import Digest, RepositoryRef, digest_algorithm
from moorage.registry.layers import upload_rules
from moorage.registry.layers.types import CheckedObject, Completion, Layer, UncheckedObject
from moorage.store.blobs.reading import digest_of_object
from moorage.store.blobs.store import (
    BlobStore,
    ObjectNotFoundError,
    Staged,
    StoreFullError,
    TakenOverError,
    UploadBusyError,
    UploadGoneError,
)
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers.blobs import BlobRow

T = TypeVar("T")


class Storing:
    """Stores the bytes of a blob that is not stored yet, or not whole, and attaches it to a repository."""

    def __init__(self, db: Database, blobs: BlobStore) -> None:
        self._db = db
        self._blobs = blobs

    async def small(self, work: Callable[[Connection, CheckedObject | None], T | UncheckedObject]) -> T:
        """Run `work`, which calls `complete_small`, in a transaction, as often as it asks for an object."""
        checked: CheckedObject | None = None

        def with_answer(conn: Connection) -> T | UncheckedObject:
            return work(conn, checked)

        while isinstance(result := await self._db.transaction(with_answer, grows=True), UncheckedObject):
            checked = CheckedObject(result.object_key, await self._blobs.length(result.object_key) == result.size)
        if checked is not None and not checked.is_whole:
            await self._blobs.delete(checked.object_key)
        return result

    async def large(self, given: Completion, staged: Staged, *, verified: bool) -> Layer:
        """Make the upload a layer of the repository. The caller holds its lock.

        `verified`: the bytes that arrived have the digest. Otherwise they are read again here (InvalidLayer).

        Bytes first, durably, then the rows that make them visible, in the transaction that ends the upload. When that
        fails, the upload can be finished again. UploadNotFound when it has ended meanwhile; RepositoryNotFound,
        LayerAlreadyExists, InsufficientStorage.
        """
        known = await self._db.read(lambda conn: blob_rows.find(conn, given.digest))
        lost: str | None = None
        if known is not None and not await self._is_whole(known):
            lost = known.object_key
        elif known is not None and verified:
            layer = await self._db.transaction(lambda conn: upload_rules.complete_stored(conn, given, staged.size))
            if layer is not None:
                await self._blobs.abort(staged.id)
                return layer
        with translated(given.ref, staged):
            intact = await self._blobs.commit(staged)
            if not (verified and intact):
                await self._verify_object(given.digest, staged)
        try:
            layer = await self._db.transaction(
                lambda conn: upload_rules.complete_large(conn, given, staged.id, staged.size, lost)
            )
        except (RepositoryNotFound, UploadNotFound):
            if not await self._db.read(lambda conn: blob_rows.object_keys(conn, [staged.id])):
                await self._blobs.delete(staged.id)
            raise
        if layer.object_key != staged.id:  # somebody stored the same bytes meanwhile; ours are not needed
            await self._blobs.delete(staged.id)
        elif lost:
            await self._blobs.delete(lost)
        return layer

    async def _is_whole(self, blob: BlobRow) -> bool:
        """Return whether the blob's stored bytes are there: by their length, small ones by their digest."""
        if blob.object_key:
            return await self._blobs.length(blob.object_key) == blob.size
        content = await self._db.read(lambda conn: blob_rows.content(conn, blob.digest))
        return content is not None and digest_of(content, digest_algorithm(Digest(blob.digest))) == blob.digest

    async def _verify_object(self, digest: Digest, staged: Staged) -> None:
        algorithm = digest_algorithm(digest)
        actual = await digest_of_object(self._blobs, staged.id, staged.size, algorithm)
        require_same(digest, f"{algorithm}:{actual}")


def content_of(staged: Staged) -> bytes | None:
    """Return the bytes of an upload that are all in the metadata; None for another one."""
    contents = [piece.content for piece in staged.pieces if piece.content is not None]
    return None if staged.parts or len(contents) < len(staged.pieces) else b"".join(contents)


def digest_of(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def require_same(given: Digest, actual: str) -> None:
    """Raise InvalidLayer if the bytes have another digest than the one given."""
    if actual != given:
        raise InvalidLayer(f"The layer's digest is '{actual}', not '{given}'")  # [guess] ECR's wording is not known


@contextmanager
def translated(ref: RepositoryRef, staged: Staged) -> Iterator[None]:
    """Raise what a client is told instead of an error of the blob store."""
    try:
        yield
    except UploadBusyError as error:
        raise UploadBusy(staged.id) from error
    except TakenOverError as error:
        raise UploadTakenOver(staged.id, staged.size) from error
    except (UploadGoneError, ObjectNotFoundError) as error:
        # The upload was canceled, or a crash of the machine took bytes that are not coming back.
        raise UploadNotFound(ref, staged.id) from error
    except StoreFullError as error:
        raise InsufficientStorage from error
