"""Blobs as files: uploads in `uploads/`, objects in `objects/XX/` (XX: the last two characters of the key).

Objects that were found damaged are moved to `damaged/`. Nothing reads or deletes them there.

Bytes are hashed and written in batches by threads, off the event loop. One batch is on its way to the disk while the
next is received, so a transfer holds a few MiB however fast its client is.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path
from weakref import WeakValueDictionary

from moorage.data_directory import flush_directory
from moorage.store.blobs.held import HeldFile, RunningHashes
from moorage.store.blobs.locking import Attempt
from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import BusyError, Leftover
from moorage.store.blobs.transfer import open_file, translated

READ_CHUNK = 64 << 10
WAIT_SECONDS = 10.0
"""How long a request waits for an upload to which another one adds bytes without a pause."""
_ASK_AGAIN_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.25

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:=-]{2,249}")  # no separator, no dot: cannot lead out of its folder


class FileBlobStore:
    """A `BlobStore` in a directory, which is made when it is not there. Worker processes may share it."""

    def __init__(self, root: Path) -> None:
        self._uploads = root / "uploads"
        self._objects = root / "objects"
        self._damaged = root / "damaged"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)
        self._pool = Pool()
        self._hashes = RunningHashes()
        self._waiting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, upload: str) -> AsyncIterator[HeldFile]:
        upload_path, object_path = self._upload_path(upload), self._object_path(upload)
        attempt = Attempt(upload_path, object_path)
        try:
            await self._lock(attempt, upload)
        except BaseException:
            attempt.close()
            raise
        assert attempt.file is not None  # noqa: S101 - it has just been locked
        held = HeldFile(self._pool, self._hashes, attempt.file, attempt.path, upload_path, object_path)
        try:
            yield held
        finally:
            await asyncio.shield(held.release())

    async def _lock(self, attempt: Attempt, upload: str) -> None:
        pause = _ASK_AGAIN_SECONDS
        # Of those who wait in this process one asks; each question takes a thread.
        waiting = self._waiting.setdefault(upload, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS), waiting:
                with translated():
                    while not await self._pool.do_whole(attempt.succeeds):
                        await asyncio.sleep(pause)
                        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except TimeoutError as error:
            raise BusyError(upload) from error

    async def size(self, upload: str) -> int:
        """The bytes that the upload has, held or not; 0 when it has none, and when it is an object."""
        path = self._upload_path(upload)
        try:
            return (await self._pool.do(path.stat)).st_size
        except FileNotFoundError:
            return 0

    async def abort(self, upload: str) -> None:
        self._hashes.take(upload)
        path = self._upload_path(upload)
        await self._pool.do(lambda: path.unlink(missing_ok=True))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        path = self._object_path(key)
        if end - start <= READ_CHUNK:
            if start < end:
                yield await self._pool.do(_read_once, path, start, end - start)
            return
        file = await self._pool.do(open_file, path)
        coming: asyncio.Future[bytes] | None = None
        try:
            coming = self._pool.start(_read_at, file, start, min(READ_CHUNK, end - start))
            while coming is not None:
                chunk = await asyncio.shield(coming)
                start += len(chunk)
                coming = self._pool.start(_read_at, file, start, min(READ_CHUNK, end - start)) if start < end else None
                yield chunk
        finally:
            if coming is not None:  # the reader left: the file must not close under a read that is under way
                with suppress(OSError, LookupError):
                    await asyncio.shield(coming)
            file.close()

    def local_path(self, key: str) -> Path | None:
        return self._object_path(key)

    async def delete(self, key: str) -> None:
        path = self._object_path(key)
        await self._pool.do(lambda: path.unlink(missing_ok=True))

    async def length(self, key: str) -> int | None:
        path = self._object_path(key)
        try:
            return (await self._pool.do(path.stat)).st_size
        except FileNotFoundError:
            return None

    async def set_aside(self, key: str) -> bool:
        return await self._pool.do(self._set_aside, self._object_path(key))

    async def leftovers(self) -> AsyncIterator[Leftover]:
        for leftover in await self._pool.do(_listing, self._uploads, "upload"):
            yield leftover
        for folder in await self._pool.do(lambda: [each for each in self._objects.iterdir() if each.is_dir()]):
            for leftover in await self._pool.do(_listing, folder, "object"):
                yield leftover

    async def close(self) -> None:
        """Wait for what the threads still do, and end them."""
        await self._pool.close()

    # --- paths and threads ---

    def _upload_path(self, upload: str) -> Path:
        return self._uploads / _checked(upload)

    def _object_path(self, key: str) -> Path:
        return self._objects / _checked(key)[-2:] / key

    # --- in a thread ---

    def _set_aside(self, path: Path) -> bool:
        self._damaged.mkdir(exist_ok=True)
        try:
            path.replace(self._damaged / path.name)
        except FileNotFoundError:
            return False
        flush_directory(self._damaged)
        return True


def _checked(name: str) -> str:
    """`name`, or ValueError when it could be anything but a plain file name of ours."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not the name of an upload or object: {name!r}")
    return name


def _read_at(file: FileIO, start: int, length: int) -> bytes:
    chunk = os.pread(file.fileno(), length, start)
    if not chunk:
        raise LookupError(f"the object ends at {start}, before the bytes asked for")
    return chunk


def _read_once(path: Path, start: int, length: int) -> bytes:
    with open_file(path) as file:
        chunk = _read_at(file, start, length)
        while len(chunk) < length:
            chunk += _read_at(file, start + len(chunk), length - len(chunk))
        return chunk


def _listing(folder: Path, kind: str) -> list[Leftover]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) is None:  # somebody else's file
                continue
            with suppress(FileNotFoundError):  # it went away while we looked
                found.append(Leftover(kind, entry.name, entry.stat().st_mtime))
    return found
