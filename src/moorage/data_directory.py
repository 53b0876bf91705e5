"""The data directory of a registry. Everything in it is private to the user who runs the registry, from the first byte.

It contains every access key, the sealing key and all images. Everything that opens it (`init`, `serve`, `dev`,
`--on-host`) calls `prepare` first.
"""

import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from moorage.settings import SettingError


class UnusableDataError(Exception):
    """The data directory or the database cannot be used. The message says why, and what to do."""


_PRIVATE = 0o077
"""The permission bits of group and others."""
_OURS = re.compile(
    r"(?:moorage|audit)\.db(?:\.damaged-\w+)?(?:-wal|-shm|-journal|\.lock)?|blobs|tmp|reserve"
    r"|sealing\.key|credentials|(?:registry|server)\.json|\.(?:sealing\.key|credentials|(?:registry|server)\.json)\..+"
)
_OF_THE_FILE_SYSTEM = "lost+found"


def prepare(path: Path, *, warn: Callable[[str], None] | None = None) -> None:
    """Create the data directory if it is missing, make everything in it private, and report what had to be changed.

    From then on, the process creates files that only its user can read (umask 077), so that no file is ever readable by
    others. Files that Moorage created earlier with wider modes are made private. A directory that also contains other
    files keeps its mode: it may be a home directory or `/tmp`. `warn` is called with each change; by default, changes
    are printed on standard error. Raises SettingError if the directory cannot be created or read.
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
    """Make the names in the directory durable. Without it, a power cut may undo creating or renaming of a file."""
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
        # Kubernetes mounts volumes like this: owned by root, and open to a group of the process. What others may do is
        # reported.
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
            # Never follow a symbolic link, and never wait for anything that is not a regular file.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            continue  # a link, a file of another user, or deleted by now: nothing that this process created
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
