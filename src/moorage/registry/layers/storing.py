"""How the verified bytes of an upload become a layer: stored once, and repaired where the stored ones are lost."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import InvalidLayer, LayerAlreadyExists, RepositoryNotFound, UploadNotFound
from moorage.names import Digest, RepositoryRef, digest_algorithm
from moorage.registry.layers.layers import Layer
from moorage.store.blobs.store import BlobStore, HeldUpload
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers import uploads as upload_rows
from moorage.store.metadata.repositories import repositories as repository_rows

T = TypeVar("T")


class LookedAt(NamedTuple):
    """An object of the blob store, and whether a blob's bytes are there with the right length."""

    object_key: str
    is_whole: bool


class Unknown(NamedTuple):
    """What a transaction must be told before it can go on: whether the bytes of this object are there."""

    object_key: str
    size: int


class Storing:
    """Stores the bytes of a blob that is not there yet, or not whole, and attaches it to a repository.

    Bytes that are stored already are kept. They are replaced when they are missing or have the wrong length; those
    that are kept in the metadata also when they differ.
    """

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock

    # --- small ones: in the metadata ---

    async def small(self, work: Callable[[Connection, LookedAt | None], T | Unknown]) -> T:
        """Run `work`, which calls `keep_small`, in a transaction, and again with the answer when that is `Unknown`."""
        looked_at: LookedAt | None = None

        def with_answer(conn: Connection) -> T | Unknown:
            return work(conn, looked_at)

        while isinstance(outcome := await self._db.transaction(with_answer, grows=True), Unknown):
            looked_at = LookedAt(outcome.object_key, await self._blobs.length(outcome.object_key) == outcome.size)
        if looked_at is not None and not looked_at.is_whole:
            await self._blobs.delete(looked_at.object_key)
        return outcome

    def keep_small(
        self, conn: Connection, repository_id: int, digest: Digest, content: bytes, looked_at: LookedAt | None
    ) -> tuple[Layer, bool] | Unknown:
        """Make the bytes, which have this digest, a layer of the repository.

        Also returns whether whole bytes were stored before. Nothing has changed when the result is `Unknown`.
        """
        now = self._clock.now()
        blob = blob_rows.find(conn, digest)
        object_key = "" if blob is None else str(blob.object_key)
        was_whole = False
        if blob is None:
            blob_rows.add_small(conn, digest, content, now)
        elif not object_key:
            was_whole = blob_rows.content(conn, digest) == content
        elif looked_at is None or looked_at.object_key != object_key:
            return Unknown(object_key, len(content))
        else:
            was_whole = looked_at.is_whole
        if blob is not None:
            if not was_whole:
                blob_rows.replace_content(conn, digest, object_key, content, now)
                object_key = ""
            if blob.orphaned_at is not None:
                blob_rows.keep(conn, digest)
        layer_rows.attach(conn, repository_id, digest, len(content), now)
        return Layer(digest, len(content), object_key, None if object_key else content), was_whole

    # --- large ones: in the blob store ---

    async def large(
        self, held: HeldUpload, ref: RepositoryRef, upload_id: str, digest: Digest, size: int, *, refuses_again: bool
    ) -> Layer:
        """Make the upload, whose bytes have this digest, a layer of the repository.

        Bytes first, durably, then the rows that make them visible, in the transaction that ends the upload. When that
        fails, the upload can be finished again.

        `refuses_again`: LayerAlreadyExists when the repository has the layer, whole. UploadNotFound when the upload has
        been ended meanwhile.
        """
        known = await self._db.read(lambda conn: blob_rows.find(conn, digest))
        lost: str | None = None  # the object whose bytes these replace; "": they are kept in the metadata
        if known is not None and not await self._is_whole(digest, known):
            lost = known.object_key
        elif known is not None:
            layer = await self._db.transaction(
                lambda conn: self._attach(conn, ref, upload_id, digest, size, refuses_again=refuses_again)
            )
            if layer is not None:
                await self._blobs.abort(upload_id)
                return layer
        try:
            await held.commit()
        except LookupError as error:
            raise UploadNotFound(ref, upload_id) from error

        def work(conn: Connection) -> Layer:
            blob = blob_rows.find(conn, digest)
            if blob is None:
                blob_rows.add(conn, digest, upload_id, size, self._clock.now())
            elif lost is not None and blob.object_key == lost:
                blob_rows.replace_object(conn, digest, lost, upload_id, self._clock.now())
            layer = self._attach(conn, ref, upload_id, digest, size)
            assert layer is not None  # noqa: S101 - the blob's row is there in this transaction
            return layer

        try:
            layer = await self._db.transaction(work)
        except (RepositoryNotFound, UploadNotFound):
            if not await self._db.read(lambda conn: blob_rows.object_keys(conn, [upload_id])):
                await self._blobs.delete(upload_id)
            raise
        if layer.object_key != upload_id:  # somebody stored the same bytes meanwhile; ours are not needed
            await self._blobs.delete(upload_id)
        elif lost:
            await self._blobs.delete(lost)
        return layer

    async def _is_whole(self, digest: Digest, blob: Any) -> bool:
        """Return whether the blob's stored bytes are there: by their length, small ones by their digest."""
        if blob.object_key:
            return await self._blobs.length(blob.object_key) == int(blob.size)
        content = await self._db.read(lambda conn: blob_rows.content(conn, digest))
        return content is not None and _digest_of(content, digest_algorithm(digest)) == digest

    def _attach(
        self,
        conn: Connection,
        ref: RepositoryRef,
        upload_id: str,
        digest: Digest,
        size: int,
        *,
        refuses_again: bool = False,
    ) -> Layer | None:
        """The stored blob becomes a layer of the repository, and the upload ends; None when no such blob is stored.

        In one transaction: the sweep frees a blob by deleting its row in one of its own, so either it is gone here, or
        it is no orphan when the sweep looks.
        """
        if blob_rows.find(conn, digest) is None:
            return None
        repository_id = repository_rows.id_of(conn, ref)
        if repository_id is None:
            raise RepositoryNotFound(ref)
        if refuses_again and layer_rows.holds(conn, repository_id, digest):
            raise LayerAlreadyExists(ref, digest)
        layer_rows.attach(conn, repository_id, digest, size, self._clock.now())
        blob_rows.keep(conn, digest)
        if not upload_rows.finish(conn, upload_id, ref.account):
            raise UploadNotFound(ref, upload_id)
        row = layer_rows.find(conn, ref, digest)
        assert row is not None  # noqa: S101 - it was attached in this transaction
        return Layer(digest, size, row.object_key, row.content)


def verify(digest: Digest, content: bytes) -> None:
    """InvalidLayer unless the bytes have this digest."""
    actual = _digest_of(content, digest_algorithm(digest))
    if actual != digest:
        raise mismatch(digest, actual)


def mismatch(given: Digest, actual: str) -> InvalidLayer:
    """The refusal of bytes that have another digest than the one given."""
    return InvalidLayer(f"The layer's digest is '{actual}', not '{given}'")  # [guess] ECR's wording is not known


def _digest_of(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
