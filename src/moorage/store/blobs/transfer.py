"""One append to an upload's locked file, in threads: hash and write batch after batch, then record the digest.

Worker processes share these files. An append first gives the file a new *generation* (an extended attribute), so that a
hash taken of an earlier one is never believed of this one. At the end the SHA-256 is put beside it: then any worker
knows it without reading the file again. On file systems without such attributes, time and size tell instead.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from moorage.errors import InsufficientStorage
from moorage.store.blobs.locking import is_deleted
from moorage.store.blobs.pool import Beside
from moorage.store.reserve import require_room

BATCH = 1 << 20  # bytes hashed and written at a time
FLUSH_AHEAD = 32 << 20  # bytes after which the disk is set to work, so that `commit` finds little left to flush

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


class Transfer:
    """`write` batch after batch, then `finish`, each in a thread and never two at once.

    LookupError when the file is not long enough, and as soon as it is deleted. `file` is locked and stays open.
    """

    def __init__(self, beside: Beside, file: FileIO, offset: int, running: Running | None) -> None:
        self.size = offset
        self._beside = beside
        self._flushed = offset
        self._flushes: list[Future[None]] = []
        self._file = file
        self._start = offset
        self._running = running
        self._is_prepared = False
        self._sha256: Any = None

    def write(self, chunks: list[bytes]) -> None:
        batch = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        file = self._file
        self._prepare()
        if is_deleted(file):
            raise LookupError("the upload has been deleted")
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
        """Write the last batch. The running hash, when it covers the whole upload."""
        self.write(chunks)
        with translated():
            for flush in self._flushes:  # a failure told here is not told again to the flush of `commit`
                flush.result()
        if self._sha256 is None:
            return None
        _vouch(self._file, self.size, self._sha256.hexdigest())
        return Running(Stamp.of(self._file), self._sha256)

    def _prepare(self) -> None:
        """Before the first batch: drop what lies beyond the start, and begin a new generation."""
        if self._is_prepared:
            return
        file = self._file
        stamp = Stamp.of(file)
        if stamp.size < self._start:
            raise LookupError(f"the upload has {stamp.size} bytes, not {self._start}")
        if self._start == 0:
            self._sha256 = hashlib.sha256()
        elif self._running is not None and self._running.stamp == stamp and stamp.size == self._start:
            self._sha256 = self._running.sha256
        if stamp.size > 0:  # of an empty file nothing is believed that could be wrong later
            _begin_generation(file)
        if stamp.size > self._start:
            file.truncate(self._start)
        file.seek(self._start)
        self._is_prepared = True


def open_file(path: Path) -> FileIO:
    """The file, for reading; LookupError when there is none."""
    try:
        return FileIO(path, "r")
    except FileNotFoundError as error:
        raise LookupError(path.name) from error


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
