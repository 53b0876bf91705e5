"""An upload whose file this process has locked: nobody else changes it, here or in another worker."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine
from io import FileIO
from pathlib import Path
from typing import Any, Final, TypeVar

from moorage.data_directory import flush_directory
from moorage.store.blobs.locking import is_at, is_wanted
from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import Appended, TakenOverError
from moorage.store.blobs.transfer import BATCH, Running, Transfer, digest_in, translated

T = TypeVar("T")

STALLED_SECONDS: Final = 1.0
"""A body that has been silent for so long is given up when somebody waits for the upload."""
_LOOK_SECONDS: Final = 0.25
RUNNING_HASHES: Final = 1024
"""Uploads whose running hash is kept."""


class RunningHashes:
    """The running hashes of this process, by upload; those used last."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Running] = OrderedDict()

    def take(self, upload: str) -> Running | None:
        return self._of.pop(upload, None)

    def get(self, upload: str) -> Running | None:
        return self._of.get(upload)

    def keep(self, upload: str, running: Running | None) -> None:
        if running is not None:
            self._of[upload] = running
            if len(self._of) > RUNNING_HASHES:
                self._of.popitem(last=False)


class HeldFile:
    """A `HeldUpload` in a file. `path`: where it is now; `upload_path`, `object_path`: where it may be."""

    def __init__(
        self, pool: Pool, hashes: RunningHashes, file: FileIO, path: Path, upload_path: Path, object_path: Path
    ) -> None:
        self._pool = pool
        self._hashes = hashes
        self._file = file
        self._upload_path = upload_path
        self._object_path = object_path
        self._name = upload_path.name
        self.is_committed = path == object_path
        self._under_way: set[asyncio.Future[Any]] = set()

    async def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    async def append(self, offset: int, body: AsyncIterator[bytes]) -> Appended:
        if self.is_committed:
            raise LookupError(f"{self._name} is an object already")
        transfer = Transfer(self._pool.beside, self._file, offset, self._hashes.take(self._name))
        in_flight: asyncio.Future[None] | None = None
        chunks: list[bytes] = []
        held = 0
        patience = _Patience(self._file)
        try:
            while (chunk := await patience.next(body)) is not None:
                chunks.append(chunk)
                held += len(chunk)
                if held >= BATCH:
                    if in_flight is not None:
                        await asyncio.shield(in_flight)  # a canceled caller must not take it for done
                    in_flight = self._pool.start(transfer.write, chunks)
                    chunks, held = [], 0
        finally:
            patience.end()
            # Also when the body broke off: what arrived is kept.
            running = await self._whole(self._finish(transfer, in_flight, chunks))
            self._hashes.keep(self._name, running)
        return Appended(transfer.size, running.sha256.hexdigest() if running else None)

    async def _finish(
        self, transfer: Transfer, in_flight: asyncio.Future[None] | None, chunks: list[bytes]
    ) -> Running | None:
        if in_flight is not None:
            await in_flight
        return await self._pool.do(transfer.finish, chunks)

    async def digest(self, algorithm: str) -> str:
        running = self._hashes.get(self._name) if algorithm == "sha256" else None
        digest, again = await self._whole(self._pool.do(digest_in, self._file, algorithm, running))
        self._hashes.keep(self._name, again)
        return digest

    async def commit(self) -> None:
        self._hashes.take(self._name)
        await self._whole(self._pool.do(self._commit))
        self.is_committed = True

    async def reopen(self) -> None:
        await self._whole(self._pool.do(self._object_path.replace, self._upload_path))
        self.is_committed = False

    async def release(self) -> None:
        """Let others have it, once what a canceled caller left under way has ended."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.do(self._release)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`, which goes on when the caller is canceled."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    # --- in a thread ---

    def _release(self) -> None:
        try:
            is_empty = os.fstat(self._file.fileno()).st_size == 0
            if is_empty and not self.is_committed and is_at(self._file, self._upload_path):
                self._upload_path.unlink(missing_ok=True)  # it was opened for bytes that never came
        finally:
            self._file.close()

    def _commit(self) -> None:
        with translated():
            os.fsync(self._file.fileno())
            try:
                self._upload_path.replace(self._object_path)
            except FileNotFoundError:
                self._object_path.parent.mkdir(exist_ok=True)
                flush_directory(self._object_path.parent.parent)
                try:
                    self._upload_path.replace(self._object_path)
                except FileNotFoundError as error:
                    raise LookupError(self._name) from error
            flush_directory(self._object_path.parent)


class _Patience:
    """Waits for the chunks of a body, until it stalls while somebody else wants the file: then TakenOverError."""

    def __init__(self, file: FileIO) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be ended")
        self._file = file
        self._task = task
        self._loop = task.get_loop()
        self._waits_since: float | None = None
        self._is_over = False
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)

    async def next(self, body: AsyncIterator[bytes]) -> bytes | None:
        """The next chunk; None at the end."""
        self._waits_since = self._loop.time()
        try:
            return await anext(body, None)
        except asyncio.CancelledError:
            if not self._is_over:
                raise
            self._task.uncancel()
            raise TakenOverError from None
        finally:
            self._waits_since = None

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        since = self._waits_since
        if since is not None and self._loop.time() - since >= STALLED_SECONDS and is_wanted(self._file):
            self._is_over = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
