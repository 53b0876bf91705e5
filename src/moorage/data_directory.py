"""The directory that a registry keeps its data in: private to the user who runs it, from the first byte on.

It holds every access key, the sealing key and all images. Whoever opens it (`init`, `serve`, `dev`, `--on-host`) calls
`prepare` first.
"""

import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from moorage.settings import SettingError


class UnusableDataError(Exception):
    """The data, or the database, cannot be used; the message says why, and what helps."""


_PRIVATE = 0o077
"""The bits of group and others."""
_OURS = re.compile(
    r"(?:moorage|audit)\.db(?:\.damaged-\w+)?(?:-wal|-shm|-journal|\.lock)?|blobs|tmp|reserve"
    r"|sealing\.key|credentials|(?:registry|server)\.json|\.(?:sealing\.key|credentials|(?:registry|server)\.json)\..+"
)
_OF_THE_FILE_SYSTEM = "lost+found"


def prepare(path: Path, *, warn: Callable[[str], None] | None = None) -> None:
    """Make the data directory if it is missing, and everything in it private; say what had to be changed.

    From here on the process makes files that only its user can read (umask 077), so none is ever open for a moment.
    What Moorage made earlier with wider modes is tightened. A directory that holds other files as well keeps its mode:
    it may be a home directory or `/tmp`. `warn` is called with each change,
    which else goes to standard error. Raises SettingError when the directory cannot be made or read.
    """
    os.umask(_PRIVATE)
    try:
        path.mkdir(parents=True, exist_ok=True)
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lines = [*_tighten_directory(path, directory), *_tighten_files(path, directory)]
        finally:
            os.close(directory)
    except OSError as error:
        raise SettingError(f"data: {path} cannot be used: {error.strerror}") from error
    for line in lines:
        if warn is not None:
            warn(line)
        else:
            sys.stderr.write(f"moorage: {line}\n")


def flush_directory(path: Path) -> None:
    """Make the names in the directory durable: without it a power cut may take a new file, or its new name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tighten_directory(path: Path, directory: int) -> list[str]:
    status = os.fstat(directory)
    mode = stat.S_IMODE(status.st_mode)
    if not mode & _PRIVATE:
        return []
    if not _may_change(status):
        # As Kubernetes mounts volumes: root's, and open to a group of the process. What others may do is said.
        return [f"{path} belongs to another user and has mode {mode:04o}: others reach it"] if mode & 0o007 else []
    foreign = [name for name in os.listdir(directory) if name != _OF_THE_FILE_SYSTEM and not _OURS.fullmatch(name)]
    if foreign:
        return [
            f"{path} has mode {mode:04o} and keeps it, because it also holds {min(foreign)}. The registry's own "
            f"files in it are private; to close it as a whole: chmod 700 {path}"
        ]
    os.fchmod(directory, 0o700)
    return [f"changed the mode of {path} from {mode:04o} to 0700: it holds secrets"]


def _tighten_files(path: Path, directory: int) -> list[str]:
    lines = []
    for name in sorted(filter(_OURS.fullmatch, os.listdir(directory))):
        try:
            # Never through a symbolic link, and not waiting for anything that is no file.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            continue  # a link, one of somebody else's, or gone again: nothing that this process made
        try:
            status = os.fstat(file)
            mode, wanted = stat.S_IMODE(status.st_mode), 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
            is_alone = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
            if not mode & _PRIVATE or not is_alone:
                continue
            if not _may_change(status):
                lines.append(f"{path / name} belongs to another user and has mode {mode:04o}: others reach it")
                continue
            os.fchmod(file, wanted)
            lines.append(f"changed the mode of {path / name} from {mode:04o} to {wanted:04o}")
        finally:
            os.close(file)
    return lines


def _may_change(status: os.stat_result) -> bool:
    return os.geteuid() in {0, status.st_uid}
