"""Uploads: bytes on their way to become a layer. They arrive in pieces, resume after a cut, and end with a digest."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
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
    UploadBusy,
    UploadNotFound,
    UploadRangeInvalid,
    UploadTakenOver,
)
from moorage.names import Digest, RepositoryRef, digest_algorithm
from moorage.registry.layers.layers import Layer
from moorage.registry.layers.request_body import Beginning, Incoming, pieces
from moorage.registry.layers.storing import LookedAt, Storing, Unknown, mismatch, verify
from moorage.registry.origin import Door, follows_ecr
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore, BusyError, HeldUpload, TakenOverError
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers import uploads as upload_rows
from moorage.store.metadata.repositories import repositories as repository_rows

SMALLEST_PART = 5 << 20  # bytes; every part but the last
MOST_PARTS = 4_200
MOST_FAILED_FINISHES = 5
"""Finishes of one upload with a wrong digest, after which it is canceled: each may read the whole upload again."""
_RENEW_SECONDS = 10.0
_LEAST_RESERVED, _MOST_RESERVED = 1 << 20, 64 << 20  # bytes that an upload asks of its account's quota at a time


class Upload(msgspec.Struct, frozen=True, gc=False):
    """An upload under way; `size` bytes of it are here."""

    id: str
    ref: RepositoryRef
    size: int


class Uploads:
    """Begin, append, finish.

    As long as an upload is small (`small_layer_bytes`) its bytes are kept beside its row, and so are those of a small
    layer: then one commit makes bytes and membership durable together, where a file takes flushes of its own. An
    upload that grows longer moves into the blob store.

    A failed append leaves the upload as long as what arrived of it, to be resumed there. Uploads are written without
    waiting for the disk: what a crash of the machine takes back was never said to be stored.

    Several requests for one upload, in any worker: each append is recorded by a transaction that fails when the upload
    has grown since the append looked at it. In the blob store, appends and finishes hold the upload, and look at its
    row when they do. A request that finds the upload held waits. When the holder's body stalls, the holder gives way:
    it is refused, and its bytes are dropped. A cancel waits for nobody.
    """

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._storing = Storing(db, blobs, clock)
        self._finishing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

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
        them or makes the layer too long (LimitExceeded), nothing of it is. UploadTakenOver, and nothing is kept, when
        the body stalls and another request continues the upload. UploadBusy when another one adds to it for long.
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

        try:
            return await self._append(ref, upload_id, pieces(data), len(data), follows)
        except UploadRangeInvalid as error:
            last_valid_byte = error.offset - 1
            raise InvalidLayerPart(ref, upload_id, last_valid_byte, "another part arrived at the same time") from error

    async def finish(self, ref: RepositoryRef, upload_id: str, digest: Digest, *, by: str, door: Door) -> Layer:  # noqa: ARG002 - becomes part of the event
        """The upload, whose bytes have this digest (else InvalidLayer), becomes a layer of the repository.

        By ECR's rules also EmptyUpload and LayerPartTooSmall; at the ECR door LayerAlreadyExists. After an error the
        upload is as it was, until `MOST_FAILED_FINISHES` of those that had its bytes hashed cancel it.
        """

        def work(conn: Connection, looked_at: LookedAt | None) -> tuple[Layer | None, int] | Unknown:
            row = _found(conn, ref, upload_id)
            if follows_ecr(door, self._settings):
                if row.size == 0:
                    raise EmptyUpload(upload_id)
                if row.small_parts:
                    raise LayerPartTooSmall
            if row.size > 0 and row.content is None:
                return None, row.reserved
            content = row.content or b""
            verify(digest, content)
            holds = door == "ecr" and layer_rows.holds(conn, row.repository_id, digest)
            kept = self._storing.keep_small(conn, row.repository_id, digest, content, looked_at)
            if isinstance(kept, Unknown):
                return kept
            layer, was_whole = kept
            if holds and was_whole:
                raise LayerAlreadyExists(ref, digest)
            upload_rows.finish(conn, upload_id, ref.account)
            return layer, row.reserved

        # One at a time, so that no more of them hash the bytes than may fail.
        async with self._finishing.setdefault(upload_id, asyncio.Lock()):
            try:
                layer, reserved = await self._storing.small(work)
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
        verify(digest, content)

        def work(conn: Connection, looked_at: LookedAt | None) -> tuple[Layer, bool] | Unknown:
            return self._storing.keep_small(conn, _repository_id(conn, ref), digest, content, looked_at)

        return (await self._storing.small(work))[0]

    async def cancel(self, ref: RepositoryRef, upload_id: str) -> None:
        """Forget the upload and its bytes, also while an append is under way, which then ends; UploadNotFound."""
        await self._row(ref, upload_id)
        await self._forget(upload_id)

    async def _failed(self, upload_id: str) -> None:
        """Count a finish that failed after the bytes were hashed; the last one allowed cancels the upload."""

        def work(conn: Connection) -> bool:
            return upload_rows.fail(conn, upload_id) >= MOST_FAILED_FINISHES and upload_rows.end(conn, upload_id)

        if await self._db.transaction(work, durable=False, by_row=True):
            await self._blobs.abort(upload_id)

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
        row = await self._row(ref, upload_id)
        incoming = Incoming(body, length, self._settings.max_layer_bytes - row.size)
        beginning = Beginning([], complete=False)
        if row.size == 0 or row.content is not None:
            follows(row)
            beginning = await incoming.begin(self._settings.small_layer_bytes - row.size)
        if not beginning.complete:
            return Upload(upload_id, ref, await self._append_large(ref, upload_id, incoming, beginning, follows))
        content = (row.content or b"") + b"".join(beginning.taken)
        if beginning.error is not None:
            await self._keep(ref, row, len(content), content)
            raise beginning.error
        size = await asyncio.shield(self._grow(ref, row, len(content), content))
        incoming.check()
        return Upload(upload_id, ref, size)

    async def _keep(self, ref: RepositoryRef, row: Any, size: int, content: bytes | None) -> None:
        """`_grow` by what arrived of a body that broke off, unless another request has changed the upload."""
        with suppress(UploadRangeInvalid, UploadNotFound):
            await asyncio.shield(self._grow(ref, row, size, content))

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

    # --- large ones: in the blob store ---

    @asynccontextmanager
    async def _held(self, ref: RepositoryRef, upload_id: str) -> AsyncIterator[tuple[HeldUpload, Any]]:
        """Hold the upload in the blob store, and yield it with its row as it is then; UploadBusy, UploadNotFound."""
        try:
            async with self._blobs.hold(upload_id) as held:
                row = await self._row(ref, upload_id)
                if held.is_committed:
                    # Whoever made it an object died, or its transaction failed. The change waits for a commit of that
                    # transaction that is still on its way to the database, and then finds no upload.
                    await self._renew(ref, upload_id)
                    await held.reopen()
                yield held, row
        except BusyError as error:
            raise UploadBusy(upload_id) from error

    async def _append_large(
        self,
        ref: RepositoryRef,
        upload_id: str,
        incoming: Incoming,
        beginning: Beginning,
        follows: Callable[[Any], None],
    ) -> int:
        async with self._held(ref, upload_id) as (held, row):
            follows(row)
            incoming.room = self._settings.max_layer_bytes - row.size
            offset, before = (row.size, b"") if row.content is None else (0, row.content)
            body = self._within_quota(ref, row, offset, incoming.whole(beginning, before))
            try:
                appended = await held.append(offset, body)
            except TakenOverError as error:
                raise UploadTakenOver(upload_id, row.size) from error
            except LookupError as error:
                # The upload was canceled, or a crash of the machine took bytes that are not coming back.
                raise UploadNotFound(ref, upload_id) from error
            except (LimitExceeded, InsufficientStorage, UploadNotFound):
                raise  # the upload is as it was, and the next append drops what came
            except BaseException:
                await self._keep(ref, row, await held.size(), None)
                raise
            size = await self._grow(ref, row, appended.size, None)
        incoming.check()
        return size

    async def _within_quota(
        self, ref: RepositoryRef, row: Any, offset: int, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """`body`, which goes to `offset` of the upload, as far as the account's quota of bytes allows.

        Room is reserved before the bytes reach the disk and returned when the upload ends, so that uploads at the same
        time cannot exceed the quota together. While bytes arrive the upload is renewed, so that it does not expire.
        """
        end, reserved = offset, row.reserved
        renewed = self._clock.now()
        period = min(_RENEW_SECONDS, self._settings.upload_seconds / 4)
        async for chunk in body:
            end += len(chunk)
            if end > reserved:
                reserved += await self._reserve(ref, row.id, end - reserved, reserved)
            elif abs(self._clock.now() - renewed) > period:
                await self._renew(ref, row.id)
                renewed = self._clock.now()
            yield chunk

    async def _renew(self, ref: RepositoryRef, upload_id: str) -> None:
        """Count the upload as used now; UploadNotFound when it has ended."""

        def work(conn: Connection) -> bool:
            return upload_rows.renew(conn, upload_id, self._clock.now())

        if not await self._db.transaction(work, durable=False, by_row=True):
            raise UploadNotFound(ref, upload_id)

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
        async with self._held(ref, upload_id) as (held, row):
            if await held.size() != row.size:  # a process that died may have left more
                try:
                    await held.append(row.size, pieces())
                except LookupError as error:
                    raise UploadNotFound(ref, upload_id) from error
            await _verify_large(held, digest)
            return await self._storing.large(held, ref, upload_id, digest, row.size, refuses_again=door == "ecr")

    async def _put_large(
        self, ref: RepositoryRef, digest: Digest, incoming: Incoming, beginning: Beginning, by: str
    ) -> Layer:
        upload_id = (await self.begin(ref, by)).id
        try:
            async with self._held(ref, upload_id) as (held, row):
                body = self._within_quota(ref, row, 0, incoming.whole(beginning))
                try:
                    size = (await held.append(0, body)).size
                except LookupError as error:
                    raise UploadNotFound(ref, upload_id) from error
                incoming.check()
                await _verify_large(held, digest)
                return await self._storing.large(held, ref, upload_id, digest, size, refuses_again=False)
        except BaseException:
            await asyncio.shield(self._forget(upload_id))
            raise

    async def _forget(self, upload_id: str) -> None:
        await self._db.transaction(
            lambda conn: upload_rows.end(conn, upload_id), durable=False, by_row=True, frees=True
        )
        await self._blobs.abort(upload_id)


async def _verify_large(held: HeldUpload, digest: Digest) -> None:
    """InvalidLayer unless the upload has this digest."""
    algorithm = digest_algorithm(digest)
    actual = f"{algorithm}:{await held.digest(algorithm)}"
    if actual != digest:
        raise mismatch(digest, actual)


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
