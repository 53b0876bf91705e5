"""Blobs as files: uploads in `uploads/`, objects in `objects/XX/` (XX: the last two characters of the key).

Objects that were found damaged are moved to `damaged/`. Nothing reads or deletes them there.

Bytes are hashed and written in batches by threads, off the event loop. One batch is on its way to the disk while the
next is received, so a transfer holds a few MiB however fast its client is.
"""

import asyncio
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import ParamSpec, TypeVar

from moorage.store.blobs.store import Appended, Leftover
from moorage.store.blobs.transfer import (
    BATCH,
    Beside,
    Running,
    Transfer,
    digest_in,
    digest_of,
    lock,
    open_file,
    translated,
)

P = ParamSpec("P")
T = TypeVar("T")

READ_CHUNK = 1 << 20
THREADS = 16  # most of them wait for the disk; many at once let the file system share a flush among them
RUNNING_HASHES = 1024  # uploads whose running hash is kept

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:=-]{2,249}")  # no separator, no dot: cannot lead out of its folder


class FileBlobStore:
    """A `BlobStore` in a directory, which is made when it is not there. Worker processes may share it."""

    def __init__(self, root: Path) -> None:
        self._uploads = root / "uploads"
        self._objects = root / "objects"
        self._damaged = root / "damaged"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._beside = Beside()
        self._running: OrderedDict[str, Running] = OrderedDict()

    async def append(self, upload: str, offset: int, body: AsyncIterator[bytes]) -> Appended:
        """See `BlobStore`. LookupError also when another append to this upload is under way."""
        transfer = Transfer(self._beside, self._upload_path(upload), offset, self._running.pop(upload, None))
        in_flight: asyncio.Future[None] | None = None
        chunks: list[bytes] = []
        held = 0
        try:
            async for chunk in body:
                chunks.append(chunk)
                held += len(chunk)
                if held >= BATCH:
                    if in_flight is not None:
                        await asyncio.shield(in_flight)  # a cancelled caller must not take it for done
                    in_flight = self._start(transfer.write, chunks)
                    chunks, held = [], 0
        finally:
            # Also when the body broke off: what arrived is kept.
            running = await asyncio.shield(self._finish(transfer, in_flight, chunks))
            self._keep(upload, running)
        return Appended(transfer.size, running.sha256.hexdigest() if running else None)

    async def _finish(
        self, transfer: Transfer, in_flight: asyncio.Future[None] | None, chunks: list[bytes]
    ) -> Running | None:
        try:
            if in_flight is not None:
                await in_flight
        except BaseException:
            transfer.close()
            raise
        return await self._do(transfer.finish, chunks)

    def _keep(self, upload: str, running: Running | None) -> None:
        if running is not None:
            self._running[upload] = running
            if len(self._running) > RUNNING_HASHES:
                self._running.popitem(last=False)

    async def size(self, upload: str) -> int:
        path = self._upload_path(upload)
        try:
            return (await self._do(path.stat)).st_size
        except FileNotFoundError:
            return 0

    async def digest(self, upload: str, algorithm: str) -> str:
        """See `BlobStore`. LookupError when the upload has not begun."""
        running = self._running.get(upload) if algorithm == "sha256" else None
        digest, again = await self._do(digest_of, self._upload_path(upload), algorithm, running)
        if again is not None:
            self._keep(upload, again)
        return digest

    async def commit(self, upload: str, key: str, *, digest: str | None = None) -> None:
        running = self._running.pop(upload, None)
        await self._do(self._commit, self._upload_path(upload), self._object_path(key), digest, running)

    async def abort(self, upload: str) -> None:
        self._running.pop(upload, None)
        path = self._upload_path(upload)
        await self._do(lambda: path.unlink(missing_ok=True))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        path = self._object_path(key)
        if end - start <= READ_CHUNK:
            if start < end:
                yield await self._do(_read_once, path, start, end - start)
            return
        file = await self._do(open_file, path)
        coming: asyncio.Future[bytes] | None = None
        try:
            coming = self._start(_read_at, file, start, min(READ_CHUNK, end - start))
            while coming is not None:
                chunk = await asyncio.shield(coming)
                start += len(chunk)
                coming = self._start(_read_at, file, start, min(READ_CHUNK, end - start)) if start < end else None
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
        await self._do(lambda: path.unlink(missing_ok=True))

    async def length(self, key: str) -> int | None:
        path = self._object_path(key)
        try:
            return (await self._do(path.stat)).st_size
        except FileNotFoundError:
            return None

    async def set_aside(self, key: str) -> bool:
        return await self._do(self._set_aside, self._object_path(key))

    async def leftovers(self) -> AsyncIterator[Leftover]:
        for leftover in await self._do(_listing, self._uploads, "upload"):
            yield leftover
        for folder in await self._do(lambda: list(self._objects.iterdir())):
            for leftover in await self._do(_listing, folder, "object"):
                yield leftover

    async def close(self) -> None:
        """Wait for what the threads still do, and end them."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._beside.shutdown)

    # --- paths and threads ---

    def _upload_path(self, upload: str) -> Path:
        return self._uploads / _checked(upload)

    def _object_path(self, key: str) -> Path:
        return self._objects / _checked(key)[-2:] / key

    def _start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        future: Future[T] = self._threads.submit(work, *args, **kwargs)
        return asyncio.wrap_future(future)

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._start(work, *args, **kwargs)

    # --- in a thread ---

    def _commit(self, upload: Path, target: Path, digest: str | None, running: Running | None) -> None:
        with translated(), open_file(upload) as file:
            lock(file, upload)
            if digest is not None:
                algorithm, _, expected = digest.partition(":")
                if digest_in(file, algorithm, running)[0] != expected:
                    raise LookupError(f"{upload.name} does not hold {digest} any more")
            os.fsync(file.fileno())
            self._settle(upload, target)

    def _set_aside(self, path: Path) -> bool:
        self._damaged.mkdir(exist_ok=True)
        try:
            path.replace(self._damaged / path.name)
        except FileNotFoundError:
            return False
        _flush_directory(self._damaged)
        return True

    def _settle(self, source: Path, target: Path) -> None:
        """Give the flushed file its name, durably."""
        try:
            source.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(exist_ok=True)
            _flush_directory(self._objects)
            try:
                source.replace(target)
            except FileNotFoundError as error:
                raise LookupError(source.name) from error
        _flush_directory(target.parent)


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


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listing(folder: Path, kind: str) -> list[Leftover]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it went away while we looked
                found.append(Leftover(kind, entry.name, entry.stat().st_mtime))
    return found
