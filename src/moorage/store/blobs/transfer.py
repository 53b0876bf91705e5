"""The file of an upload while bytes are appended to it or it is committed. Everything here runs in threads.

Worker processes share these files, and one may die while it writes. So each append first marks the file with a new
random *generation* (an extended attribute), and marks it again when it ends. The last mark is the `etag` of the only
part of the upload: as long as the file has it, no other append has begun, and the machine has not crashed (the etag
names the boot too). On file systems without extended attributes, inode and modification time take its place.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Final

from moorage.data_directory import flush_directory
from moorage.errors import InsufficientStorage
from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import CommittedError, Part, Staged, StoreFullError, UploadGoneError
from moorage.store.reserve import require_room

FLUSH_AHEAD: Final = 32 << 20
"""Bytes after which the disk is set to work, so that `commit` finds little left to flush."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ATTRIBUTE: Final = "user.moorage"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Transfer:
    """One append: `write` batch after batch, then `finish` or `undo`. The caller holds the upload's lock."""

    def __init__(self, pool: Pool, upload_path: Path, object_path: Path, staged: Staged, *, reopen: bool) -> None:
        """Open the file and drop what lies beyond the recorded bytes. CommittedError, UploadGoneError."""
        self._pool = pool
        self._path = upload_path
        self._staged = staged
        self._start = self._size = self._flushed = staged.in_parts
        self._flushes: list[Future[None]] = []
        self._file = _open(upload_path, object_path, staged, reopen=reopen)
        try:
            self._generation = _attribute(self._file)
            self._is_intact = _is_intact(self._file, staged)
            self._prepare()
            for piece in staged.pieces:
                self.write([piece.content or b""])
        except BaseException:
            self._file.close()
            raise

    def _prepare(self) -> None:
        length = _length(self._file)
        if length < self._start:
            raise UploadGoneError(f"{self._path.name} has {length} bytes, not {self._start}")
        if length > 0:  # of an empty file nothing is recorded that could be wrong later
            with translated():
                _mark(self._file)
        if length > self._start:
            self._file.truncate(self._start)
        self._file.seek(self._start)

    def write(self, chunks: list[bytes]) -> None:
        """Write the chunks and empty the list. StoreFullError; UploadGoneError as soon as the file is deleted."""
        batch = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if _is_deleted(self._file):
            raise UploadGoneError(f"{self._path.name} was aborted")
        with translated():
            write_all(self._file, batch)
        self._size += len(batch)
        if self._size - self._flushed >= FLUSH_AHEAD:
            self._flushed = self._size
            self._flushes.append(self._pool.flush(self._file))

    def finish(self, chunks: list[bytes]) -> Staged:
        """Write the last chunks and close the file. Return what is to be recorded."""
        self.write(chunks)
        with translated():
            for flush in self._flushes:  # a failure reported here is not reported again to the flush of `commit`
                flush.result()
        etag = ""
        if self._is_intact:
            with suppress(OSError):  # no room for the attribute: the object will be read again
                _mark(self._file)
                etag = _etag(self._file)
        if self._size == 0:
            self._path.unlink(missing_ok=True)
        self._file.close()
        return Staged(self._staged.id, None, (Part(self._size, etag),) if self._size else ())

    def undo(self) -> None:
        """Drop what was written, and close the file."""
        try:
            if self._start == 0:
                self._path.unlink(missing_ok=True)
            else:
                # The mark goes back last: until then, nothing says that the file is as it is recorded.
                self._file.truncate(self._start)
                if self._is_intact and self._generation:
                    os.setxattr(self._file.fileno(), _ATTRIBUTE, self._generation)
        finally:
            self._file.close()


def commit(upload_path: Path, object_path: Path, staged: Staged) -> bool:
    """Make the upload an object, durably; return whether its bytes are those that were appended.

    UploadGoneError when there are fewer.
    """
    with translated():
        file, path = _open_to_commit(upload_path, object_path, staged)
        with file:
            length = _length(file)
            if length < staged.in_parts:
                raise UploadGoneError(f"{path.name} has {length} bytes, not {staged.in_parts}")
            is_intact = _is_intact(file, staged)
            if length > staged.in_parts:  # left by an append that died
                file.truncate(staged.in_parts)
            os.fsync(file.fileno())
        if path == upload_path:
            try:
                _move(upload_path, object_path)
            except FileNotFoundError as error:
                raise UploadGoneError(f"{path.name} was aborted") from error
        flush_directory(object_path.parent)
    return is_intact


def _open_to_commit(upload_path: Path, object_path: Path, staged: Staged) -> tuple[FileIO, Path]:
    for path in (upload_path, object_path):
        with suppress(FileNotFoundError):
            return FileIO(path, "r+"), path
    if staged.size:
        raise UploadGoneError(f"there is no file of {upload_path.name}")
    return _create(upload_path), upload_path


def _move(upload_path: Path, object_path: Path) -> None:
    try:
        upload_path.replace(object_path)
    except FileNotFoundError:
        object_path.parent.mkdir(exist_ok=True)
        flush_directory(object_path.parent.parent)
        upload_path.replace(object_path)


def _open(upload_path: Path, object_path: Path, staged: Staged, *, reopen: bool) -> FileIO:
    with suppress(FileNotFoundError):
        return FileIO(upload_path, "r+")
    if object_path.exists():
        if not reopen:
            raise CommittedError(upload_path.name)
        object_path.replace(upload_path)
        return FileIO(upload_path, "r+")
    if staged.parts:
        raise UploadGoneError(f"there is no file of {upload_path.name}")
    with translated():
        return _create(upload_path)


def _create(path: Path) -> FileIO:
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreFullError for a full disk."""
    try:
        yield
    except InsufficientStorage as error:
        raise StoreFullError from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFullError from error
        raise


def write_all(file: FileIO, content: bytes) -> None:
    """Write `content`, which a client pushes. InsufficientStorage when only reserved room is left."""
    if content:
        require_room(file.fileno())
    written = file.write(content) or 0
    while written < len(content):  # the file system took a part: the next call says why
        written += file.write(memoryview(content)[written:]) or 0


def _length(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _is_deleted(file: FileIO) -> bool:
    return os.fstat(file.fileno()).st_nlink == 0


def _is_intact(file: FileIO, staged: Staged) -> bool:
    """Return whether the recorded bytes of the file are surely those that were appended."""
    return not staged.parts or (staged.parts[0].etag != "" and staged.parts[0].etag == _etag(file))


def _etag(file: FileIO) -> str:
    """Return what identifies the bytes of the file; empty when it is not marked."""
    generation = _attribute(file)
    if generation is None:
        status = os.fstat(file.fileno())
        generation = f"{status.st_ino}.{status.st_mtime_ns}".encode()
    return f"{_boot()}:{generation.decode()}" if generation else ""


def _attribute(file: FileIO) -> bytes | None:
    """Return the mark of the file, which may be empty; None when the file system has no extended attributes."""
    try:
        return os.getxattr(file.fileno(), _ATTRIBUTE)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return b""
        if error.errno == errno.ENOTSUP:
            return None
        raise


def _mark(file: FileIO) -> None:
    try:
        os.setxattr(file.fileno(), _ATTRIBUTE, secrets.token_hex(8).encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


@cache
def _boot() -> str:
    """Return the id of the machine's boot: a crash may keep a mark and lose the bytes."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
