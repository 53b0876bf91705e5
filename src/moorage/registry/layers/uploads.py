"""Uploads: bytes on their way to become a layer. They arrive in pieces, resume after a cut, and end with a digest."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
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
    LimitExceeded,
    UploadNotFound,
    UploadRangeInvalid,
)
from moorage.names import Digest, RepositoryRef, digest_algorithm
from moorage.registry.layers import upload_rules
from moorage.registry.layers.request_body import Beginning, RequestBody, UnbrokenBody, body_of
from moorage.registry.layers.running_digests import HashedBody, RunningDigests
from moorage.registry.layers.storing import Storing, content_of, digest_of, require_same, translated
from moorage.registry.layers.types import CheckedObject, Completion, Layer, UncheckedObject
from moorage.registry.origin import Api, follows_ecr
from moorage.registry.repositories.rules import require_id
from moorage.settings import Settings
from moorage.store.blobs.pool import uninterrupted
from moorage.store.blobs.store import LARGEST_PIECE, BlobStore, CommittedError, Hold, Staged, TakenOverError
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import uploads as upload_rows
from moorage.store.metadata.layers.uploads import Growth, UploadQuota, UploadRow

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

SMALLEST_PART: Final = 5 << 20
"""Bytes that ECR requires of every part but the last."""
MOST_PARTS: Final = 4_200
MOST_FAILED_FINISHES: Final = 5
"""Finishes of one upload with a wrong digest, after which it is canceled: each may read the whole upload again."""
_RENEW_SECONDS: Final = 10.0
_LEAST_RESERVED: Final = 1 << 20
_MOST_RESERVED: Final = 64 << 20
"""Bytes that an upload reserves of its account's quota at a time."""
_REFUSALS: Final = (LimitExceeded, InsufficientStorage, UploadNotFound, TakenOverError)
"""What a body may raise that forbids keeping what arrived of it."""


class Upload(msgspec.Struct, frozen=True, gc=False):
    """An open upload that has received `size` bytes."""

    id: str
    ref: RepositoryRef
    size: int


class Uploads:
    """Begins, appends to, and finishes uploads.

    As long as an upload is small (`small_layer_bytes`) its bytes are kept in the metadata, and so are those of a small
    layer: then one commit makes bytes and membership durable together, where a file takes flushes of its own. An
    upload that grows longer moves into the blob store, except for a remainder too short to be a part there.

    A failed append leaves the upload as long as what arrived of it, to be resumed there. Uploads are written without
    waiting for the disk: no client was told that bytes are stored which a crash of the machine takes back.

    Several requests for one upload, in any worker: each append is recorded by a transaction that fails when the upload
    has grown since the append looked at it. Appends to the blob store and finishes hold the lock of the upload, and
    look at its row again when they have it. A request that finds the upload locked waits. When the holder's body
    stalls, the holder gives way: it is refused, and its bytes are dropped. A cancel waits for nobody.
    """

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._storing = Storing(db, blobs)
        self._digests = RunningDigests()
        self._finishing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, ref: RepositoryRef, by: str) -> Upload:
        """Begin an empty upload. RepositoryNotFound, TooManyUploads."""
        upload_id = str(uuid.uuid4())
        quota = UploadQuota(self._settings.uploads_per_repository, self._settings.uploads_per_account)

        def work(conn: Connection) -> None:
            upload_rules.begin(conn, ref, upload_id, quota, by=by, at=self._clock.now())

        await self._db.transaction(work, durable=False, by_row=True)
        return Upload(upload_id, ref, 0)

    async def status(self, ref: RepositoryRef, upload_id: str) -> Upload:
        """Return how far the upload is. UploadNotFound also when it is another repository's."""
        return Upload(upload_id, ref, (await self._find(ref, upload_id)).size)

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

        When `body` raises, or ends before `length` bytes (BodyIncomplete), what arrived is kept. When it continues
        after them or makes the layer too long (LimitExceeded), nothing of it is kept. UploadTakenOver, and nothing is
        kept, when the body stalls and another request continues the upload. UploadBusy when another request appends
        for long.
        """

        def check(upload: UploadRow) -> None:
            if start is not None and start != upload.size:
                raise UploadRangeInvalid(upload_id, upload.size)

        return await self._append(ref, upload_id, body, length, check)

    async def part(self, ref: RepositoryRef, upload_id: str, first: int, last: int, data: bytes) -> Upload:
        """Add the bytes `first` to `last` (inclusive), which must follow what is there (InvalidLayerPart)."""

        def check(upload: UploadRow) -> None:
            valid = upload.size - 1
            if first != upload.size:
                raise InvalidLayerPart(ref, upload_id, valid, f"it does not begin at byte {upload.size}")
            if last - first + 1 != len(data) or not data:
                raise InvalidLayerPart(ref, upload_id, valid, f"it does not hold the bytes {first} to {last}")
            if upload.parts >= MOST_PARTS:
                raise LimitExceeded(f"A layer may have at most {MOST_PARTS} parts")

        try:
            return await self._append(ref, upload_id, body_of(data), len(data), check)
        except UploadRangeInvalid as error:
            last_valid_byte = error.offset - 1
            raise InvalidLayerPart(ref, upload_id, last_valid_byte, "another part arrived at the same time") from error

    async def finish(self, ref: RepositoryRef, upload_id: str, digest: Digest, *, by: str, api: Api) -> Layer:
        """Make the upload, whose bytes have this digest (otherwise InvalidLayer), a layer of the repository.

        By ECR's rules also EmptyUpload and LayerPartTooSmall; in the ECR API LayerAlreadyExists. After an error the
        upload is as it was, until `MOST_FAILED_FINISHES` of those that had its bytes hashed cancel it.
        """
        given = Completion(ref, digest, by, self._clock.now(), upload_id, refuses_again=api == "ecr")

        def work(conn: Connection, checked: CheckedObject | None) -> tuple[Layer | None, int] | UncheckedObject:
            upload = upload_rules.find(conn, ref, upload_id)
            if follows_ecr(api, self._settings):
                upload_rules.check_completable(upload)
            content = None
            if upload.size <= self._settings.small_layer_bytes:
                content = content_of(upload_rows.staged(conn, upload))
            if content is None:
                return None, upload.reserved
            require_same(digest, digest_of(content, digest_algorithm(digest)))
            layer = upload_rules.complete_small(conn, given, upload.repository_id, content, checked)
            return layer if isinstance(layer, UncheckedObject) else (layer, upload.reserved)

        # One at a time, so that no more of them hash the bytes than may fail.
        async with self._finishing.setdefault(upload_id, asyncio.Lock()):
            try:
                layer, reserved = await self._storing.small(work)
                if layer is None:
                    return await self._finish_large(given, upload_id)
                if reserved:  # an append that would have made it a large one was refused, and left its bytes
                    await self._blobs.abort(upload_id)
                return layer
            except (InvalidLayer, LayerAlreadyExists, asyncio.CancelledError):
                await asyncio.shield(self._failed(upload_id))
                raise

    async def put(
        self, ref: RepositoryRef, digest: Digest, body: AsyncIterator[bytes], *, length: int | None, by: str
    ) -> Layer:
        """Store a layer that comes in one request. A body that is cut short leaves nothing to resume (BodyIncomplete).

        InvalidLayer, LimitExceeded, RepositoryNotFound, TooManyUploads; EmptyUpload by ECR's rules.
        """
        request = RequestBody(body, length, self._settings.max_layer_bytes)
        await self._db.read(lambda conn: require_id(conn, ref))
        beginning = await request.begin(self._settings.small_layer_bytes)
        if beginning.error is not None:
            raise beginning.error
        given = Completion(ref, digest, by, self._clock.now(), None, refuses_again=False)
        if not beginning.complete:
            return await self._put_large(given, request, beginning)
        request.check()
        content = b"".join(beginning.chunks)
        if follows_ecr("oci", self._settings) and not content:
            raise EmptyUpload(str(uuid.uuid4()))
        require_same(digest, digest_of(content, digest_algorithm(digest)))

        def work(conn: Connection, checked: CheckedObject | None) -> Layer | UncheckedObject:
            return upload_rules.complete_small(conn, given, require_id(conn, ref), content, checked)

        return await self._storing.small(work)

    async def cancel(self, ref: RepositoryRef, upload_id: str) -> None:
        """Delete the upload and its bytes. An append that is in progress then ends. UploadNotFound."""
        await self._find(ref, upload_id)
        await self._end(upload_id)

    async def _failed(self, upload_id: str) -> None:
        """Count a finish that failed after the bytes were hashed; the last one allowed cancels the upload."""

        def work(conn: Connection) -> bool:
            return upload_rows.fail(conn, upload_id) >= MOST_FAILED_FINISHES and upload_rows.end(conn, upload_id)

        if await self._db.transaction(work, durable=False, by_row=True):
            await self._delete_bytes(upload_id, ended=True)

    async def _end(self, upload_id: str) -> None:
        def work(conn: Connection) -> bool:
            return upload_rows.end(conn, upload_id)

        ended = await self._db.transaction(work, durable=False, by_row=True, frees=True)
        await self._delete_bytes(upload_id, ended=ended)

    async def _delete_bytes(self, upload_id: str, *, ended: bool) -> None:
        """Delete the bytes of an upload that has no row anymore.

        Also when they are an object already, if the row has `ended` in a transaction of this request: only the
        transaction that deletes the row can refer to the object.
        """
        await self._blobs.abort(upload_id)
        if ended:
            await self._blobs.delete(upload_id)

    async def _find(self, ref: RepositoryRef, upload_id: str) -> UploadRow:
        return await self._db.read(lambda conn: upload_rules.find(conn, ref, upload_id))

    # --- appending ---

    async def _append(
        self,
        ref: RepositoryRef,
        upload_id: str,
        body: AsyncIterator[bytes],
        length: int | None,
        check: Callable[[UploadRow], None],
    ) -> Upload:
        """Append after `check`, which raises when the body must not be added to the upload as it is."""
        upload = await self._find(ref, upload_id)
        request = RequestBody(body, length, self._settings.max_layer_bytes - upload.size)
        beginning = Beginning([], complete=False)
        room = self._room_in_metadata(upload)
        if room or not upload.in_parts:
            check(upload)
            beginning = await request.begin(room)
        if not beginning.complete:
            return Upload(upload_id, ref, await self._append_large(ref, upload_id, request, beginning, check))
        content = b"".join(beginning.chunks)
        if beginning.error is not None:
            with suppress(UploadRangeInvalid, UploadNotFound):  # another request has changed the upload
                await asyncio.shield(self._add_piece(ref, upload, content))
            raise beginning.error
        size = await asyncio.shield(self._add_piece(ref, upload, content))
        request.check()
        return Upload(upload_id, ref, size)

    def _room_in_metadata(self, upload: UploadRow) -> int:
        """Return how many bytes may be added to the upload without the blob store."""
        small = 0 if upload.in_parts else self._settings.small_layer_bytes - upload.size
        piece = min(LARGEST_PIECE, self._blobs.part_size - 1 - (upload.size - upload.in_parts))
        return max(small, piece, 0)

    async def _add_piece(self, ref: RepositoryRef, upload: UploadRow, content: bytes) -> int:
        """Record bytes that are kept in the metadata, and return the size of the upload."""
        size = upload.size + len(content)
        if not content:
            return size
        state = self._digests.resume(upload.id, upload.size) if upload.in_parts else None
        if state is not None:
            state.update(content)

        def work(conn: Connection) -> None:
            upload_rules.add_piece(conn, ref, upload, content, self._growth(len(content), state))

        await self._db.transaction(work, durable=False, grows=True)
        self._digests.keep(upload.id, size, state)
        return size

    def _growth(self, added: int, state: "Hash | None") -> Growth:
        return Growth(self._clock.now(), added < SMALLEST_PART, None if state is None else state.hexdigest())

    async def _append_large(
        self,
        ref: RepositoryRef,
        upload_id: str,
        request: RequestBody,
        beginning: Beginning,
        check: Callable[[UploadRow], None],
    ) -> int:
        async with self._held(ref, upload_id) as (hold, upload, staged):
            check(upload)
            request.room = self._settings.max_layer_bytes - upload.size
            body = self._within_quota(ref, upload, upload.size, request.whole(beginning))
            hashed = HashedBody(body, self._state(staged))
            unbroken = UnbrokenBody(hold.guard(hashed), _REFUSALS)
            with translated(ref, staged):
                after = await self._stage(ref, staged, unbroken)
            recording = asyncio.ensure_future(self._record(ref, upload, staged, after, hashed))
            try:
                # To its end, also for a canceled request: the next holder must see what is recorded.
                await uninterrupted(recording)
            except (UploadNotFound, UploadRangeInvalid) as error:
                if isinstance(error, UploadNotFound):
                    await self._blobs.abort(upload_id)  # the store may have begun anew what was aborted
                if unbroken.error is None:
                    raise
            if unbroken.error is not None:
                raise unbroken.error
        request.check()
        return after.size

    def _state(self, staged: Staged) -> "Hash | None":
        """Return the state of the SHA-256 after the recorded bytes; None when it is not at hand."""
        content = content_of(staged)
        return self._digests.resume(staged.id, staged.size) if content is None else hashlib.sha256(content)

    async def _stage(self, ref: RepositoryRef, staged: Staged, body: AsyncIterator[bytes]) -> Staged:
        try:
            return await self._blobs.append(staged, body)
        except CommittedError:
            # Whoever committed it died, or its transaction failed. The change waits for a commit of that transaction
            # that is still on its way to the database, and then finds no upload.
            await self._renew(ref, staged.id)
            return await self._blobs.append(staged, body, reopen=True)

    async def _record(
        self, ref: RepositoryRef, upload: UploadRow, before: Staged, after: Staged, hashed: HashedBody
    ) -> None:
        state = await hashed.end()
        if after.size == before.size:
            return

        def work(conn: Connection) -> None:
            upload_rules.record(conn, ref, upload, before, after, self._growth(after.size - before.size, state))

        await self._db.transaction(work, durable=False)
        self._digests.keep(upload.id, after.size, state)

    @asynccontextmanager
    async def _held(self, ref: RepositoryRef, upload_id: str) -> AsyncIterator[tuple[Hold, UploadRow, Staged]]:
        """Lock the upload, and yield the lock with the upload as it is then. UploadBusy, UploadNotFound."""
        with translated(ref, Staged(upload_id)):
            async with self._blobs.locks.hold(upload_id) as hold:
                yield hold, *(await self._db.read(lambda conn: upload_rules.find_with_bytes(conn, ref, upload_id)))

    async def _within_quota(
        self, ref: RepositoryRef, upload: UploadRow, size: int, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Yield `body`, which follows the upload's first `size` bytes, as far as the account's quota of bytes allows.

        Room is reserved before the bytes reach the disk and returned when the upload ends, so that uploads at the same
        time cannot exceed the quota together. While bytes arrive the upload is renewed, so that it does not expire.
        """
        end, reserved = size, upload.reserved
        renewed = self._clock.now()
        period = min(_RENEW_SECONDS, self._settings.upload_seconds / 4)
        async for chunk in body:
            end += len(chunk)
            if end > reserved:
                reserved += await self._reserve(ref, upload.id, end - reserved, reserved)
            elif abs(self._clock.now() - renewed) > period:
                await self._renew(ref, upload.id)
                renewed = self._clock.now()
            yield chunk

    async def _renew(self, ref: RepositoryRef, upload_id: str) -> None:
        """Count the upload as used now; UploadNotFound when it has ended."""

        def work(conn: Connection) -> bool:
            return upload_rows.renew(conn, upload_id, self._clock.now())

        if not await self._db.transaction(work, durable=False, by_row=True):
            raise UploadNotFound(ref, upload_id)

    async def _reserve(self, ref: RepositoryRef, upload_id: str, needed: int, before: int) -> int:
        """Reserve `needed` bytes, or more while there is room; return how many. `before`: bytes reserved already."""
        most = self._settings.upload_bytes_per_account
        ahead = max(needed, min(max(before, _LEAST_RESERVED), _MOST_RESERVED))

        def work(conn: Connection) -> int:
            for more in (ahead, needed):
                if upload_rows.reserve(conn, upload_id, ref.account, more, most, self._clock.now()):
                    return more
            raise upload_rules.over_quota(f"the open uploads of an account may have {most} bytes")

        try:
            return await self._db.transaction(work, durable=False, by_row=True, grows=True)
        except LookupError as error:  # it ended meanwhile: canceled, expired, or with its repository
            raise UploadNotFound(ref, upload_id) from error

    # --- finishing ---

    async def _finish_large(self, given: Completion, upload_id: str) -> Layer:
        algorithm = digest_algorithm(given.digest)
        async with self._held(given.ref, upload_id) as (_, upload, staged):
            content = content_of(staged)
            actual = None if content is None else await asyncio.to_thread(digest_of, content, algorithm)
            if actual is None and algorithm == "sha256" and upload.sha256 is not None:
                actual = f"sha256:{upload.sha256}"
            if actual is not None:
                require_same(given.digest, actual)
            return await self._storing.large(given, staged, verified=actual is not None)

    async def _put_large(self, given: Completion, request: RequestBody, beginning: Beginning) -> Layer:
        ref, algorithm = given.ref, digest_algorithm(given.digest)
        upload_id = (await self.begin(ref, given.by)).id
        try:
            async with self._held(ref, upload_id) as (hold, upload, staged):
                body = self._within_quota(ref, upload, 0, request.whole(beginning))
                hashed = HashedBody(body, hashlib.new(algorithm))
                with translated(ref, staged):
                    staged = await self._blobs.append(staged, hold.guard(hashed))
                request.check()
                state = await hashed.end()
                assert state is not None  # noqa: S101 - it was given one
                require_same(given.digest, f"{algorithm}:{state.hexdigest()}")
                return await self._storing.large(given._replace(upload_id=upload_id), staged, verified=True)
        except BaseException:
            await asyncio.shield(self._end(upload_id))
            raise
