"""Blobs as files: uploads in `uploads/`, objects in `objects/XX/` (XX: the last two characters of the key).

Bytes are hashed and written in batches by threads, off the event loop. One batch is on its way to the disk while the
next is received, so a transfer holds a few MiB however fast its client is.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from moorage.errors import InsufficientStorage
from moorage.store.blobs.store import Appended, Leftover

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 1 << 20  # bytes hashed and written at a time
READ_CHUNK = 1 << 20
THREADS = 16  # most of them wait for the disk; many at once let the file system share a flush among them
FLUSH_AHEAD = 32 << 20  # bytes after which the disk is set to work, so that `commit` finds little left to flush
FLUSHES = 4  # at once
RUNNING_HASHES = 1024  # uploads whose running hash is kept

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:=-]{2,249}")  # no separator, no dot: cannot lead out of its folder
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class _Stamp(NamedTuple):
    """Tells whether a file is still as we left it."""

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: int) -> "_Stamp":
        status = os.fstat(file)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class _Running(NamedTuple):
    """The SHA-256 of an upload as far as it goes, and the file it was computed for."""

    stamp: _Stamp
    sha256: Any  # a hashlib object


class FileBlobStore:
    """A `BlobStore` in a directory, which is made when it is not there. Worker processes may share it."""

    def __init__(self, root: Path) -> None:
        self._uploads = root / "uploads"
        self._objects = root / "objects"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        # Pools of their own: what a thread of the first waits for must not queue behind others of its kind.
        self._hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash")
        self._flushing = ThreadPoolExecutor(FLUSHES, thread_name_prefix="flush")
        self._running: OrderedDict[str, _Running] = OrderedDict()

    async def append(self, upload: str, offset: int, body: AsyncIterator[bytes]) -> Appended:
        """See `BlobStore`. LookupError also when another append to this upload is under way."""
        transfer = _Transfer(self, self._upload_path(upload), offset, self._running.pop(upload, None))
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
        self, transfer: "_Transfer", in_flight: asyncio.Future[None] | None, chunks: list[bytes]
    ) -> _Running | None:
        try:
            if in_flight is not None:
                await in_flight
        except BaseException:
            transfer.close()
            raise
        return await self._do(transfer.finish, chunks)

    def _keep(self, upload: str, running: _Running | None) -> None:
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
        digest, again = await self._do(_digest, self._upload_path(upload), algorithm, running)
        if again is not None:
            self._keep(upload, again)
        return digest

    async def commit(self, upload: str, key: str) -> None:
        """See `BlobStore`. LookupError when the upload has not begun, or is an object already."""
        self._running.pop(upload, None)
        await self._do(self._commit, self._upload_path(upload), self._object_path(key))

    async def abort(self, upload: str) -> None:
        self._running.pop(upload, None)
        path = self._upload_path(upload)
        await self._do(lambda: path.unlink(missing_ok=True))

    async def put(self, key: str, content: bytes) -> None:
        await self._do(self._put, self._object_path(key), content)

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        path = self._object_path(key)
        if end - start <= READ_CHUNK:
            if start < end:
                yield await self._do(_read_once, path, start, end - start)
            return
        file = await self._do(_open, path)
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

    async def leftovers(self) -> AsyncIterator[Leftover]:
        for leftover in await self._do(_listing, self._uploads, "upload"):
            yield leftover
        for folder in await self._do(lambda: list(self._objects.iterdir())):
            for leftover in await self._do(_listing, folder, "object"):
                yield leftover

    async def close(self) -> None:
        """Wait for what the threads still do, and end them."""
        for pool in (self._threads, self._flushing, self._hashing):
            await asyncio.to_thread(pool.shutdown)

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

    def hash(self, hasher: Any, batch: bytes) -> Future[None]:
        return self._hashing.submit(hasher.update, batch)

    def flush(self, file: FileIO) -> Future[None]:
        return self._flushing.submit(_flush_and_close, os.dup(file.fileno()))

    def _commit(self, upload: Path, target: Path) -> None:
        with _translated(), _open(upload) as file:
            os.fsync(file.fileno())
            self._settle(upload, target)

    def _put(self, target: Path, content: bytes) -> None:
        temporary = self._uploads / f"put-{secrets.token_hex(16)}"
        try:
            with _translated():
                with FileIO(temporary, "x") as file:
                    _write(file, content)
                    os.fsync(file.fileno())
                self._settle(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

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


class _Transfer:
    """One append: `write` batch after batch, then `finish`, each in a thread and never two at once."""

    def __init__(self, store: FileBlobStore, path: Path, offset: int, running: _Running | None) -> None:
        self.size = offset
        self._store = store
        self._flushed = offset
        self._flushes: list[Future[None]] = []
        self._path = path
        self._start = offset
        self._running = running
        self._file: FileIO | None = None
        self._sha256: Any = None

    def write(self, chunks: list[bytes]) -> None:
        batch = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        file = self._opened()
        hashed = self._hash(batch)
        try:
            with _translated():
                _write(file, batch)
        except InsufficientStorage:
            file.truncate(self._start)
            raise
        finally:
            if hashed is not None:
                hashed.result()
        self.size += len(batch)
        if self.size - self._flushed >= FLUSH_AHEAD:
            self._flushed = self.size
            self._flushes.append(self._store.flush(file))

    def _hash(self, batch: bytes) -> Future[None] | None:
        """Hash beside the writing; a small batch at once, which is quicker than asking another thread."""
        if self._sha256 is None:
            return None
        if len(batch) < BATCH // 4:
            self._sha256.update(batch)
            return None
        return self._store.hash(self._sha256, batch)

    def finish(self, chunks: list[bytes]) -> _Running | None:
        """Write the last batch and close. The running hash, when it covers the whole upload."""
        try:
            self.write(chunks)
            with _translated():
                for flush in self._flushes:  # a failure told here is not told again to the flush of `commit`
                    flush.result()
            stamp = _Stamp.of(self._opened().fileno())
            return None if self._sha256 is None else _Running(stamp, self._sha256)
        finally:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> FileIO:
        if self._file is not None:
            return self._file
        with _translated():
            file = FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        self._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LookupError(f"{self._path.name} is being appended to") from error
        stamp = _Stamp.of(file.fileno())
        if stamp.size < self._start:
            raise LookupError(f"{self._path.name} holds {stamp.size} bytes, not {self._start}")
        if stamp.size > self._start:
            file.truncate(self._start)
        file.seek(self._start)
        if self._start == 0:
            self._sha256 = hashlib.sha256()
        elif self._running is not None and self._running.stamp == stamp and stamp.size == self._start:
            self._sha256 = self._running.sha256
        return file


def _checked(name: str) -> str:
    """`name`, or ValueError when it could be anything but a plain file name of ours."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not the name of an upload or object: {name!r}")
    return name


@contextmanager
def _translated() -> Iterator[None]:
    """A full disk as InsufficientStorage."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InsufficientStorage from error
        raise


def _write(file: FileIO, content: bytes) -> None:
    written = file.write(content) or 0
    while written < len(content):  # the file system took a part: the next call says why
        written += file.write(memoryview(content)[written:]) or 0


def _open(path: Path) -> FileIO:
    try:
        return FileIO(path, "r")
    except FileNotFoundError as error:
        raise LookupError(path.name) from error


def _read_at(file: FileIO, start: int, length: int) -> bytes:
    chunk = os.pread(file.fileno(), length, start)
    if not chunk:
        raise LookupError(f"the object ends at {start}, before the bytes asked for")
    return chunk


def _read_once(path: Path, start: int, length: int) -> bytes:
    with _open(path) as file:
        chunk = _read_at(file, start, length)
        while len(chunk) < length:
            chunk += _read_at(file, start + len(chunk), length - len(chunk))
        return chunk


def _digest(path: Path, algorithm: str, running: _Running | None) -> tuple[str, _Running | None]:
    """The hex digest of the file, from the running hash when that is of the file as it stands, else read again."""
    with _open(path) as file:
        stamp = _Stamp.of(file.fileno())
        if running is not None and running.stamp == stamp:
            return running.sha256.hexdigest(), None
        hasher = hashlib.new(algorithm)
        buffer = memoryview(bytearray(BATCH))
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
        return hasher.hexdigest(), _Running(stamp, hasher) if algorithm == "sha256" else None


def _flush_and_close(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


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
