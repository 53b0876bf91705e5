"""Who may change the file of an upload: one open file at a time, in any worker process.

Locks of open file descriptions (F_OFD_SETLK): they exclude each other within a process as between processes, the kernel
frees them when a process dies, and they hold on NFS. They lock bytes that are far beyond the end of any upload: one for
whoever changes the file, another for those who wait to do so, so that a holder can ask whether anybody waits.
"""

import fcntl
import os
import struct
from io import FileIO
from pathlib import Path
from typing import Final

_WRITER: Final = 1 << 62
_WAITERS: Final = _WRITER + 1
_LOCK: Final = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process


class Attempt:
    """Attempts to open and lock an upload's file. Everything runs in a thread and waits for nobody.

    The file is at the first of `paths` that exists, and is made at the first one when it is at none of them.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._waits = False
        self.file: FileIO | None = None
        self.path = paths[0]
        """Where the file is, once it is locked."""

    def succeeds(self) -> bool:
        """Open and lock the file; False when somebody else has it, who can see then that we wait."""
        for _ in range(3):  # it may move between our opening and our locking it
            if self.file is None or not is_at(self.file, self.path):
                self.close()
                self.file, self.path = self._open()
            if not _set(self.file, fcntl.F_WRLCK, _WRITER):
                self._waits = self._waits or _set(self.file, fcntl.F_RDLCK, _WAITERS)
                return False
            if is_at(self.file, self.path):
                if self._waits:
                    _set(self.file, fcntl.F_UNLCK, _WAITERS)
                return True
        return False

    def close(self) -> None:
        """Let the file go."""
        if self.file is not None:
            self.file.close()
        self.file, self._waits = None, False

    def _open(self) -> tuple[FileIO, Path]:
        for path in self._paths:
            try:
                return _open(path, 0), path
            except FileNotFoundError:
                continue
        return _open(self._paths[0], os.O_CREAT), self._paths[0]


def is_wanted(file: FileIO) -> bool:
    """Whether somebody waits for the file that we have locked."""
    asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _WAITERS, 1, 0)
    return bool(_LOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)


def is_deleted(file: FileIO) -> bool:
    """Whether the file has no name any more."""
    return os.fstat(file.fileno()).st_nlink == 0


def is_at(file: FileIO, path: Path) -> bool:
    """Whether the file is the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _open(path: Path, flags: int) -> FileIO:
    return FileIO(os.open(path, os.O_RDWR | flags | os.O_CLOEXEC, 0o600), "r+")


def _set(file: FileIO, kind: int, byte: int) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: somebody else has it
        return False
    return True
