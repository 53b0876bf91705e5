"""Private files: written whole or not at all, readable by their owner alone."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace `file` with `text` in one step, mode 0600; directories that are missing are made with 0700.

    When it returns the text is on the disk; whatever happens before, the old text stays. A symbolic link
    is followed, so that a configuration kept elsewhere stays there.
    """
    target = file.resolve()
    _make_directories(target.parent)
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())  # before the new name: else a power cut may leave an empty file under it
        temporary.replace(target)
        _flush_directory(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush_directory(path: Path) -> None:
    """As `moorage.data_directory.flush_directory`: this package imports nothing of the rest (it must start fast)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directories(path: Path) -> None:
    """`mkdir -p`, with 0700 for each one: `Path.mkdir` gives its mode to the last only."""
    if not path.is_dir():
        _make_directories(path.parent)
        path.mkdir(exist_ok=True, mode=0o700)
