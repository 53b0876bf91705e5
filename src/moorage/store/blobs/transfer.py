"""One append to an upload's file, in threads: lock it, hash and write batch after batch, vouch for what it now holds.

Worker processes share these files. Whoever writes holds the file's lock (flock) and first gives it a new *generation*
(an extended attribute), so that a hash taken of an earlier one is never believed of this one. At the end the SHA-256 is
put beside it: then any worker knows it without reading the file again. File systems without such attributes are told
by time and size instead.
"""

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from moorage.errors import InsufficientStorage
from moorage.store.reserve import require_room

BATCH = 1 << 20  # bytes hashed and written at a time
FLUSH_AHEAD = 32 << 20  # bytes after which the disk is set to work, so that `commit` finds little left to flush
FLUSHES = 4  # at once

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_ATTRIBUTE = "user.moorage"  # GENERATION, and when its append ended well: GENERATION SIZE BOOT SHA256
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # a crash of the machine may keep the attribute and lose the bytes


class Stamp(NamedTuple):
    """Tells whether a file is still as we left it."""

    inode: int
    size: int
    modified_ns: int
    generation: bytes

    @classmethod
    def of(cls, file: FileIO) -> "Stamp":
        status = os.fstat(file.fileno())
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, _attribute(file).partition(b" ")[0])


class Running(NamedTuple):
    """The SHA-256 of an upload as far as it goes, and the file it was computed for."""

    stamp: Stamp
    sha256: Any  # a hashlib object


class Beside:
    """The threads that work beside the one that writes: it waits for them, so they must not queue behind its kind."""

    def __init__(self) -> None:
        self._hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash")
        self._flushing = ThreadPoolExecutor(FLUSHES, thread_name_prefix="flush")

    def hash(self, hasher: Any, batch: bytes) -> Future[None]:
        return self._hashing.submit(hasher.update, batch)

    def flush(self, file: FileIO) -> Future[None]:
        return self._flushing.submit(_flush_and_close, os.dup(file.fileno()))

    def shutdown(self) -> None:
        self._hashing.shutdown()
        self._flushing.shutdown()


class Transfer:
    """`write` batch after batch, then `finish`, each in a thread and never two at once.

    LookupError when the file is not long enough, or when somebody else appends to it or commits it.
    """

    def __init__(self, beside: Beside, path: Path, offset: int, running: Running | None) -> None:
        self.size = offset
        self._beside = beside
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
            with translated():
                write_all(file, batch)
        except InsufficientStorage:
            file.truncate(self._start)
            raise
        finally:
            if hashed is not None:
                hashed.result()
        self.size += len(batch)
        if self.size - self._flushed >= FLUSH_AHEAD:
            self._flushed = self.size
            self._flushes.append(self._beside.flush(file))

    def _hash(self, batch: bytes) -> Future[None] | None:
        """Hash beside the writing; a small batch at once, which is quicker than asking another thread."""
        if self._sha256 is None:
            return None
        if len(batch) < BATCH // 4:
            self._sha256.update(batch)
            return None
        return self._beside.hash(self._sha256, batch)

    def finish(self, chunks: list[bytes]) -> Running | None:
        """Write the last batch and close. The running hash, when it covers the whole upload."""
        try:
            self.write(chunks)
            with translated():
                for flush in self._flushes:  # a failure told here is not told again to the flush of `commit`
                    flush.result()
            if self._sha256 is None:
                return None
            file = self._opened()
            _vouch(file, self.size, self._sha256.hexdigest())
            return Running(Stamp.of(file), self._sha256)
        finally:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> FileIO:
        if self._file is not None:
            return self._file
        create = os.O_CREAT if self._start == 0 else 0
        try:
            with translated():
                file = FileIO(os.open(self._path, os.O_RDWR | create | os.O_CLOEXEC, 0o600), "r+")
        except FileNotFoundError as error:
            raise LookupError(self._path.name) from error
        try:
            self._prepare(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        return file

    def _prepare(self, file: FileIO) -> None:
        lock(file, self._path)
        stamp = Stamp.of(file)
        if stamp.size < self._start:
            raise LookupError(f"{self._path.name} holds {stamp.size} bytes, not {self._start}")
        if self._start == 0:
            self._sha256 = hashlib.sha256()
        elif self._running is not None and self._running.stamp == stamp and stamp.size == self._start:
            self._sha256 = self._running.sha256
        if stamp.size > 0:  # of an empty file nothing is believed that could be wrong later
            _begin_generation(file)
        if stamp.size > self._start:
            file.truncate(self._start)
        file.seek(self._start)


def lock(file: FileIO, path: Path) -> None:
    """Be the only one to change the upload until `file` is closed; LookupError when somebody is, or it is gone."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError) as error:
        raise LookupError(f"{path.name} is busy or gone") from error
    if not here:  # it became an object between our opening and our locking it
        raise LookupError(f"{path.name} is gone")


def open_file(path: Path) -> FileIO:
    """The file, for reading; LookupError when there is none."""
    try:
        return FileIO(path, "r")
    except FileNotFoundError as error:
        raise LookupError(path.name) from error


def digest_of(path: Path, algorithm: str, running: Running | None) -> tuple[str, Running | None]:
    """`digest_in` the file at `path`; LookupError when there is none."""
    with open_file(path) as file:
        return digest_in(file, algorithm, running)


def digest_in(file: FileIO, algorithm: str, running: Running | None) -> tuple[str, Running | None]:
    """The hex digest of the file, and its running hash when that is at hand.

    From the running hash or the attribute when they are of the file as it stands, else the file is read again.
    """
    stamp = Stamp.of(file)
    if algorithm == "sha256":
        if running is not None and running.stamp == stamp:
            return running.sha256.hexdigest(), running
        vouched = _vouched(file, stamp)
        if vouched is not None:
            return vouched, None
    hasher = hashlib.new(algorithm)
    buffer = memoryview(bytearray(BATCH))
    file.seek(0)
    while count := file.readinto(buffer):
        hasher.update(buffer[:count])
    return hasher.hexdigest(), Running(stamp, hasher) if algorithm == "sha256" else None


@contextmanager
def translated() -> Iterator[None]:
    """A full disk as InsufficientStorage."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InsufficientStorage from error
        raise


def write_all(file: FileIO, content: bytes) -> None:
    """Write `content`, which a client pushes. InsufficientStorage when only reserved room is left."""
    if content:
        require_room(file.fileno())
    written = file.write(content) or 0
    while written < len(content):  # the file system took a part: the next call says why
        written += file.write(memoryview(content)[written:]) or 0


def _attribute(file: FileIO) -> bytes:
    try:
        return os.getxattr(file.fileno(), _ATTRIBUTE)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return b""
        raise


def _new_generation() -> bytes:
    return secrets.token_hex(8).encode()


def _begin_generation(file: FileIO) -> None:
    try:
        with translated():
            os.setxattr(file.fileno(), _ATTRIBUTE, _new_generation())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _vouch(file: FileIO, size: int, sha256: str) -> None:
    with suppress(OSError):  # no attributes here, or no room for one: the file will be read again
        value = b"%b %d %b %b" % (_new_generation(), size, _boot(), sha256.encode())
        os.setxattr(file.fileno(), _ATTRIBUTE, value)


def _vouched(file: FileIO, stamp: Stamp) -> str | None:
    parts = _attribute(file).split(b" ")
    if len(parts) == 4 and parts[:3] == [stamp.generation, b"%d" % stamp.size, _boot()]:
        return parts[3].decode()
    return None


@cache
def _boot() -> bytes:
    return _BOOT_ID.read_bytes().strip() if _BOOT_ID.exists() else b""


def _flush_and_close(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
