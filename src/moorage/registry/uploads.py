"""Uploads: bytes on their way to become a layer. They arrive in pieces, resume after a cut, and end with a digest."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import (
    EmptyUpload,
    InsufficientStorage,
    InvalidLayer,
    InvalidLayerPart,
    LayerAlreadyExists,
    LayerPartTooSmall,
    LimitExceeded,
    RepositoryNotFound,
    TooManyUploads,
    UploadNotFound,
    UploadRangeInvalid,
)
from moorage.names import Digest, RepositoryRef, digest_algorithm
from moorage.registry.doors import Door, follows_ecr
from moorage.registry.incoming import Beginning, Incoming, pieces
from moorage.registry.layers import Layer
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata import blobs as blob_rows
from moorage.store.metadata import layers as layer_rows
from moorage.store.metadata import repositories as repository_rows
from moorage.store.metadata import uploads as upload_rows
from moorage.store.metadata.database import Database

T = TypeVar("T")

SMALLEST_PART = 5 << 20  # bytes; every part but the last
MOST_PARTS = 4_200
MOST_FAILED_FINISHES = 5
"""Finishes of one upload with a wrong digest, after which it is canceled: each may read the whole upload again."""
_LEAST_RESERVED, _MOST_RESERVED = 1 << 20, 64 << 20  # bytes that an upload asks of its account's quota at a time


class Upload(msgspec.Struct, frozen=True, gc=False):
    """An upload under way; `size` bytes of it are here."""

    id: str
    ref: RepositoryRef
    size: int


class _LookedAt(NamedTuple):
    """An object of the blob store, and whether a blob's bytes are there with the right length."""

    object_key: str
    is_whole: bool


class _Unknown(NamedTuple):
    """What a transaction must be told before it can go on: whether the bytes of this object are there."""

    object_key: str
    size: int


class Uploads:
    """Begin, append, finish. One append or finish of an upload at a time; another waits, then finds it changed.

    As long as an upload is small (`small_layer_bytes`) its bytes are kept beside its row, and so are those of a small
    layer: then one commit makes bytes and membership durable together, where a file takes flushes of its own. An
    upload that grows longer moves into the blob store.

    A failed append leaves the upload as long as what arrived of it, to be resumed there. Uploads are written without
    waiting for the disk: what a crash of the machine takes back was never said to be stored.
    """

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, ref: RepositoryRef, by: str) -> Upload:
        """A new, empty upload; RepositoryNotFound, TooManyUploads."""
        upload_id = str(uuid.uuid4())
        room = upload_rows.Room(self._settings.uploads_per_repository, self._settings.uploads_per_account)

        def work(conn: Connection) -> None:
            repository_id = _repository_id(conn, ref)
            if not upload_rows.begin(conn, upload_id, repository_id, ref.account, room, self._clock.now(), by):
                raise _over_quota(f"{room.in_repository} open uploads a repository, {room.in_account} an account")

        await self._db.transaction(work, durable=False, by_row=True)
        return Upload(upload_id, ref, 0)

    async def status(self, ref: RepositoryRef, upload_id: str) -> Upload:
        """How far the upload is; UploadNotFound also when it is another repository's."""
        return Upload(upload_id, ref, (await self._row(ref, upload_id)).size)

    async def append(
        self,
        ref: RepositoryRef,
        upload_id: str,
        body: AsyncIterator[bytes],
        *,
        start: int | None = None,
        length: int | None = None,
    ) -> Upload:
        """Add `body` at the upload's end, which `start` names when given (UploadRangeInvalid when it does not).

        When `body` raises, or ends before `length` bytes (BodyIncomplete), what arrived is kept; when it goes on after
        them or makes the layer too long (LimitExceeded), nothing of it is.
        """

        def follows(row: Any) -> None:
            if start is not None and start != row.size:
                raise UploadRangeInvalid(upload_id, row.size)

        return await self._append(ref, upload_id, body, length, follows)

    async def part(self, ref: RepositoryRef, upload_id: str, first: int, last: int, data: bytes) -> Upload:
        """Add the bytes `first` to `last` (inclusive), which must follow on what is there (InvalidLayerPart)."""

        def follows(row: Any) -> None:
            if first != row.size:
                raise InvalidLayerPart(ref, upload_id, row.size - 1, f"it does not begin at byte {row.size}")
            if last - first + 1 != len(data) or not data:
                raise InvalidLayerPart(ref, upload_id, row.size - 1, f"it does not hold the bytes {first} to {last}")
            if row.parts >= MOST_PARTS:
                raise LimitExceeded(f"A layer may have at most {MOST_PARTS} parts")

        return await self._append(ref, upload_id, pieces(data), len(data), follows)

    async def finish(self, ref: RepositoryRef, upload_id: str, digest: Digest, *, by: str, door: Door) -> Layer:
        """The upload, whose bytes have this digest (else InvalidLayer), becomes a layer of the repository.

        By ECR's rules also EmptyUpload and LayerPartTooSmall; at the ECR door LayerAlreadyExists. After an error the
        upload is as it was, until `MOST_FAILED_FINISHES` of those that had its bytes hashed cancel it.
        """

        def work(conn: Connection, looked_at: _LookedAt | None) -> tuple[Layer | None, int] | _Unknown:
            row = _found(conn, ref, upload_id)
            if follows_ecr(door, self._settings):
                if row.size == 0:
                    raise EmptyUpload(upload_id)
                if row.small_parts:
                    raise LayerPartTooSmall
            if row.size > 0 and row.content is None:
                return None, row.reserved
            content = row.content or b""
            _verify(digest, content)
            kept = self._keep_small(conn, row.repository_id, digest, content, looked_at)
            if isinstance(kept, _Unknown):
                return kept
            layer, is_new = kept
            if door == "ecr" and not is_new:
                raise LayerAlreadyExists(ref, digest)
            upload_rows.finish(conn, upload_id, ref.account)
            return layer, row.reserved

        async with self._lock(upload_id):
            try:
                layer, reserved = await self._store_small(work)
                if layer is None:
                    return await self._finish_large(ref, upload_id, digest, door)
                if reserved:  # an append that would have made it a large one was refused, and left its bytes
                    await self._blobs.abort(upload_id)
                return layer
            except (InvalidLayer, LayerAlreadyExists, asyncio.CancelledError):
                await asyncio.shield(self._failed(upload_id))
                raise

    async def put(
        self, ref: RepositoryRef, digest: Digest, body: AsyncIterator[bytes], *, length: int | None, by: str
    ) -> Layer:
        """A layer in one request. It leaves nothing to resume: a body cut short is BodyIncomplete and forgotten."""
        incoming = Incoming(body, length, self._settings.max_layer_bytes)
        await self._db.read(lambda conn: _repository_id(conn, ref))
        beginning = await incoming.begin(self._settings.small_layer_bytes)
        if beginning.error is not None:
            raise beginning.error
        if not beginning.complete:
            return await self._put_large(ref, digest, incoming, beginning, by)
        incoming.check()
        content = b"".join(beginning.taken)
        if follows_ecr("oci", self._settings) and not content:
            raise EmptyUpload(str(uuid.uuid4()))
        _verify(digest, content)

        def work(conn: Connection, looked_at: _LookedAt | None) -> tuple[Layer, bool] | _Unknown:
            return self._keep_small(conn, _repository_id(conn, ref), digest, content, looked_at)

        return (await self._store_small(work))[0]

    async def cancel(self, ref: RepositoryRef, upload_id: str) -> None:
        """Forget the upload and its bytes; UploadNotFound."""
        async with self._lock(upload_id):
            await self._row(ref, upload_id)
            await self._forget(upload_id)

    async def _failed(self, upload_id: str) -> None:
        """Count a finish that failed after the bytes were hashed; the last one allowed cancels the upload."""

        def work(conn: Connection) -> bool:
            return upload_rows.fail(conn, upload_id) >= MOST_FAILED_FINISHES and upload_rows.end(conn, upload_id)

        if await self._db.transaction(work, durable=False, by_row=True):
            await self._blobs.abort(upload_id)

    def _lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id, asyncio.Lock())

    async def _row(self, ref: RepositoryRef, upload_id: str) -> Any:
        return await self._db.read(lambda conn: _found(conn, ref, upload_id))

    async def _append(
        self,
        ref: RepositoryRef,
        upload_id: str,
        body: AsyncIterator[bytes],
        length: int | None,
        follows: Callable[[Any], None],
    ) -> Upload:
        """`follows` raises when the body must not be added to the upload of this row."""
        async with self._lock(upload_id):
            row = await self._row(ref, upload_id)
            follows(row)
            incoming = Incoming(body, length, self._settings.max_layer_bytes - row.size)
            if row.size > 0 and row.content is None:
                return Upload(
                    upload_id, ref, await self._append_large(ref, row, incoming, Beginning([], complete=False))
                )
            beginning = await incoming.begin(self._settings.small_layer_bytes - row.size)
            if beginning.complete:
                content = (row.content or b"") + b"".join(beginning.taken)
                size = await asyncio.shield(self._grow(ref, row, len(content), content))
                if beginning.error is not None:
                    raise beginning.error
                incoming.check()
            else:
                size = await self._append_large(ref, row, incoming, beginning)
            return Upload(upload_id, ref, size)

    async def _grow(self, ref: RepositoryRef, row: Any, size: int, content: bytes | None) -> int:
        """Note that the upload has grown to `size`; UploadRangeInvalid when it was not what `row` says any more.

        `content`: its bytes; None when they are in the blob store from now on.
        """
        if size <= row.size:
            return int(row.size)
        small = size - row.size < SMALLEST_PART

        def work(conn: Connection) -> None:
            if not upload_rows.grow(conn, row, size, self._clock.now(), small=small, content=content):
                raise UploadRangeInvalid(row.id, _found(conn, ref, row.id).size)

        await self._db.transaction(work, durable=False, grows=content is not None)
        return size

    # --- small ones: beside their rows ---

    async def _store_small(self, work: Callable[[Connection, _LookedAt | None], T | _Unknown]) -> T:
        """Run `work` in a transaction, and again with the answer when it asks about an object."""
        looked_at: _LookedAt | None = None

        def with_answer(conn: Connection) -> T | _Unknown:
            return work(conn, looked_at)

        while isinstance(outcome := await self._db.transaction(with_answer, grows=True), _Unknown):
            looked_at = _LookedAt(outcome.object_key, await self._blobs.length(outcome.object_key) == outcome.size)
        if looked_at is not None and not looked_at.is_whole:
            await self._blobs.delete(looked_at.object_key)
        return outcome

    def _keep_small(
        self, conn: Connection, repository_id: int, digest: Digest, content: bytes, looked_at: _LookedAt | None
    ) -> tuple[Layer, bool] | _Unknown:
        """Make the bytes, which have this digest, a layer of the repository, and repair the stored ones if need be.

        Also returns whether anything was missing before. Nothing has changed when the result is `_Unknown`.
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
            return _Unknown(object_key, len(content))
        else:
            was_whole = looked_at.is_whole
        if blob is not None:
            if not was_whole:
                blob_rows.replace_content(conn, digest, object_key, content, now)
                object_key = ""
            if blob.orphaned_at is not None:
                blob_rows.keep(conn, digest)
        is_new = layer_rows.attach(conn, repository_id, digest, len(content), now) or not was_whole
        return Layer(digest, len(content), object_key, None if object_key else content), is_new

    # --- large ones: in the blob store ---

    async def _append_large(self, ref: RepositoryRef, row: Any, incoming: Incoming, beginning: Beginning) -> int:
        upload_id: str = row.id
        offset = row.size if row.content is None else 0
        body = self._within_quota(ref, row, offset, incoming.whole(beginning, row.content or b""))
        try:
            appended = await self._blobs.append(upload_id, offset, body)
        except LookupError as error:
            # Another process appends to it, or the machine's crash took bytes that are not coming back.
            raise UploadNotFound(ref, upload_id) from error
        except (LimitExceeded, InsufficientStorage, UploadNotFound):
            raise  # the upload is as it was, and the next append drops what came
        except BaseException:
            await asyncio.shield(self._grow(ref, row, await self._blobs.size(upload_id), None))
            raise
        size = await self._grow(ref, row, appended.size, None)
        incoming.check()
        return size

    async def _within_quota(
        self, ref: RepositoryRef, row: Any, offset: int, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """`body`, which goes to `offset` of the upload, as far as the account's quota of bytes allows.

        Room is reserved before the bytes reach the disk and returned when the upload ends, so that uploads at the same
        time cannot exceed the quota together.
        """
        end, reserved = offset, row.reserved
        async for chunk in body:
            end += len(chunk)
            if end > reserved:
                reserved += await self._reserve(ref, row.id, end - reserved, reserved)
            yield chunk

    async def _reserve(self, ref: RepositoryRef, upload_id: str, needed: int, before: int) -> int:
        """Reserve `needed` bytes, or more while there is room; how many. `before`: bytes that it has already."""
        most = self._settings.upload_bytes_per_account
        ahead = max(needed, min(max(before, _LEAST_RESERVED), _MOST_RESERVED))

        def work(conn: Connection) -> int:
            for more in (ahead, needed):
                if upload_rows.reserve(conn, upload_id, ref.account, more, most, self._clock.now()):
                    return more
            raise _over_quota(f"the open uploads of an account may have {most} bytes")

        try:
            return await self._db.transaction(work, durable=False, by_row=True, grows=True)
        except LookupError as error:  # it ended meanwhile: canceled, expired, or with its repository
            raise UploadNotFound(ref, upload_id) from error

    async def _finish_large(self, ref: RepositoryRef, upload_id: str, digest: Digest, door: Door) -> Layer:
        row = await self._row(ref, upload_id)
        await self._settle(ref, row)
        await self._verify_large(upload_id, digest, None)
        return await self._store(ref, upload_id, digest, row.size, refuses_again=door == "ecr")

    async def _put_large(
        self, ref: RepositoryRef, digest: Digest, incoming: Incoming, beginning: Beginning, by: str
    ) -> Layer:
        upload_id = (await self.begin(ref, by)).id
        try:
            body = self._within_quota(ref, await self._row(ref, upload_id), 0, incoming.whole(beginning))
            appended = await self._blobs.append(upload_id, 0, body)
            incoming.check()
            await self._verify_large(upload_id, digest, appended.sha256)
            return await self._store(ref, upload_id, digest, appended.size, refuses_again=False)
        except BaseException:
            await asyncio.shield(self._forget(upload_id))
            raise

    async def _forget(self, upload_id: str) -> None:
        await self._db.transaction(
            lambda conn: upload_rows.end(conn, upload_id), durable=False, by_row=True, frees=True
        )
        await self._blobs.abort(upload_id)

    async def _settle(self, ref: RepositoryRef, row: Any) -> None:
        """Make the store hold exactly the bytes that `row` counts: a process that died may have left more."""
        held = await self._blobs.size(row.id)
        if held == row.size:
            return
        try:
            await self._blobs.append(row.id, row.size, pieces())
        except LookupError as error:
            raise UploadNotFound(ref, row.id) from error

    async def _verify_large(self, upload_id: str, digest: Digest, sha256: str | None) -> None:
        algorithm = digest_algorithm(digest)
        if algorithm != "sha256" or sha256 is None:
            sha256 = await self._blobs.digest(upload_id, algorithm)
        if f"{algorithm}:{sha256}" != digest:
            raise _mismatch(digest, f"{algorithm}:{sha256}")

    async def _store(
        self, ref: RepositoryRef, upload_id: str, digest: Digest, size: int, *, refuses_again: bool
    ) -> Layer:
        """Bytes first, durably, then the rows that make them visible.

        Bytes that are stored already are kept, and these replace them where they are missing or have another length.
        `refuses_again`: LayerAlreadyExists when the repository has the layer, whole.
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
            await self._blobs.commit(upload_id, upload_id, digest=digest)
        except LookupError as error:  # another process appended to it, or finished it, since it was verified
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

        layer = await self._db.transaction(work)
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
        is_new = layer_rows.attach(conn, _repository_id(conn, ref), digest, size, self._clock.now())
        if refuses_again and not is_new:
            raise LayerAlreadyExists(ref, digest)
        blob_rows.keep(conn, digest)
        upload_rows.finish(conn, upload_id, ref.account)
        row = layer_rows.find(conn, ref, digest)
        assert row is not None  # noqa: S101 - it was attached in this transaction
        return Layer(digest, size, row.object_key, row.content)


def _repository_id(conn: Connection, ref: RepositoryRef) -> int:
    repository_id = repository_rows.id_of(conn, ref)
    if repository_id is None:
        raise RepositoryNotFound(ref)
    return repository_id


def _found(conn: Connection, ref: RepositoryRef, upload_id: str) -> Any:
    row = upload_rows.find(conn, ref, upload_id)
    if row is None:
        _repository_id(conn, ref)
        raise UploadNotFound(ref, upload_id)
    return row


def _over_quota(rule: str) -> TooManyUploads:
    return TooManyUploads(f"The operation did not succeed because it would have exceeded a service limit: {rule}")


def _verify(digest: Digest, content: bytes) -> None:
    actual = _digest_of(content, digest_algorithm(digest))
    if actual != digest:
        raise _mismatch(digest, actual)


def _digest_of(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def _mismatch(given: Digest, actual: str) -> InvalidLayer:
    return InvalidLayer(f"The layer's digest is '{actual}', not '{given}'")  # [guess] ECR's wording is not known
