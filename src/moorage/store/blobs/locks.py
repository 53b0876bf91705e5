"""Locks of uploads in one file: one holder at a time, among the tasks of a process and among processes.

Locks of open file descriptions (F_OFD_SETLK): the kernel frees them when a process dies, and they work on NFS. Each
upload has two bytes of the file, at a position computed from its id: the holder locks the first, and those who wait
share the second, so that a holder can see whether anybody waits. The file stays empty.
"""

import asyncio
import fcntl
import hashlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import TakenOverError, UploadBusyError

WAIT_SECONDS = 10.0
"""How long a caller waits for an upload to which another one adds bytes without a pause."""
STALLED_SECONDS = 1.0
"""A body that has been silent for so long is given up when somebody waits for the upload."""
_CHECK_SECONDS = 0.25
"""How often a holder checks whether its body has stalled and somebody waits."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.25
_LOCK: Final = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process


class FileLocks:
    """`UploadLocks` in the file `path`, which is created when it is missing. Worker processes share it."""

    def __init__(self, path: Path, pool: Pool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._pool = pool
        self._waiting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, upload: str) -> AsyncIterator["FileHold"]:
        lock = FileLock(self._path, upload)
        try:
            await self._acquire(lock, upload)
        except BaseException:
            lock.release()
            raise
        hold = FileHold(lock)
        try:
            yield hold
        finally:
            hold.end()
            await asyncio.shield(self._pool.do(lock.release))

    async def _acquire(self, lock: "FileLock", upload: str) -> None:
        pause = _FIRST_PAUSE_SECONDS
        # One of those who wait in this process tries; each attempt takes a thread.
        waiting = self._waiting.setdefault(upload, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS), waiting:
                while not await self._pool.do_whole(lock.acquire):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except TimeoutError as error:
            raise UploadBusyError(upload) from error


class FileLock:
    """The lock of one upload for one caller. Its methods do not wait for other holders."""

    def __init__(self, path: Path, upload: str) -> None:
        self._path = path
        digest = hashlib.blake2b(upload.encode(), digest_size=8).digest()
        self._holder = int.from_bytes(digest) >> 3 << 1  # even, and below 2^62: an offset in a file
        self._file: FileIO | None = None
        self._waits = False

    def acquire(self) -> bool:
        """Lock; False if somebody else holds the lock, who can then see that this caller waits."""
        if self._file is None:
            self._file = FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        if not _set(self._file, fcntl.F_WRLCK, self._holder):
            self._waits = self._waits or _set(self._file, fcntl.F_RDLCK, self._holder + 1)
            return False
        if self._waits:
            _set(self._file, fcntl.F_UNLCK, self._holder + 1)
            self._waits = False
        return True

    def is_wanted(self) -> bool:
        """Return whether somebody waits for the lock, which this caller holds."""
        if self._file is None:
            return False
        query = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._holder + 1, 1, 0)
        return bool(_LOCK.unpack(fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, query))[0] != fcntl.F_UNLCK)

    def release(self) -> None:
        """Unlock, or stop waiting."""
        if self._file is not None:
            self._file.close()
        self._file, self._waits = None, False


class FileHold:
    """A `Hold` of a locked `FileLock`."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock
        self._guarded: list[_GuardedBody] = []

    def guard(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        guarded = _GuardedBody(body, self._lock)
        self._guarded.append(guarded)
        return guarded

    def end(self) -> None:
        for each in self._guarded:
            each.end()


class _GuardedBody:
    """Yields the chunks of a body until it stalls while somebody waits for the lock: then raises TakenOverError.

    Only one task iterates over it. Canceling that task interrupts its wait for the next chunk, and nothing else.
    """

    def __init__(self, body: AsyncIterator[bytes], lock: FileLock) -> None:
        self._body = body
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        """Who waits for the next chunk."""
        self._waits_since = 0.0
        self._is_over = False
        self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._waits_since = self._loop.time()
        self._task = asyncio.current_task()
        try:
            return await anext(self._body)
        except asyncio.CancelledError:
            if not self._is_over or self._task is None:
                raise
            self._task.uncancel()
            raise TakenOverError from None
        finally:
            self._task = None

    def end(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        silence = self._loop.time() - self._waits_since
        if self._task is not None and silence >= STALLED_SECONDS and self._lock.is_wanted():
            self._is_over = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_later(_CHECK_SECONDS, self._check)


def _set(file: FileIO, kind: int, byte: int) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: somebody else has it
        return False
    return True
