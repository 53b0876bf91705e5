"""Disk space that is reserved for deletes, so that a full disk can be emptied through the registry.

Pushes are refused while less than `reserved_on` is free. Everything else may use this space. When another program has
used it up, deletes remove a file that was kept for this; a background job creates it again when there is space.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from moorage.errors import InsufficientStorage

MOST = 64 << 20  # bytes; of a small file system, a sixteenth
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def reserved_on(place: Path | int) -> int:
    """Return how many bytes of the file system of `place` (a path or a file descriptor) pushes leave free."""
    return _reserved(os.statvfs(place))


def require_room(place: Path | int, *, beside: int = 0) -> None:
    """Raise InsufficientStorage when only the reserved space and `beside` bytes are free where `place` is."""
    status = os.statvfs(place)
    if _free(status) < _reserved(status) + beside:
        raise InsufficientStorage


def _free(status: os.statvfs_result) -> int:
    return status.f_bavail * status.f_frsize


def _reserved(status: os.statvfs_result) -> int:
    return min(MOST, status.f_blocks * status.f_frsize // 16)


class Reserve:
    """A file in `directory` that takes half of the reserved space. Any process may create or delete it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "reserve"

    def give_up(self) -> None:
        """Delete the file, if it exists."""
        self._path.unlink(missing_ok=True)

    def refill(self) -> None:
        """Create the file if it is missing and twice the reserved space is free."""
        status = os.statvfs(self._directory)
        if self._path.exists() or _free(status) < 2 * _reserved(status):
            return
        with suppress(FileExistsError):  # another process creates it
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, reserved_on(file) // 2)
            except OSError as error:
                self.give_up()
                if error.errno not in _NO_ROOM:
                    raise
            finally:
                os.close(file)
