"""Private files: written as a whole, readable by their owner only."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace `file` with `text` in one step, with mode 0600; create missing directories with mode 0700.

    When it returns, the text is on disk; if it fails before, the old text stays. A symbolic link is followed, so that a
    configuration that is kept elsewhere stays there.
    """
    target = file.resolve()
    _make_directories(target.parent)
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())  # before renaming: otherwise a power cut may leave an empty file under the new name
        temporary.replace(target)
        _flush_directory(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush_directory(path: Path) -> None:
    """Do what `moorage.data_directory.flush_directory` does. This package imports nothing else of Moorage, to start
    fast."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directories(path: Path) -> None:
    """Do `mkdir -p` with mode 0700 for each directory: `Path.mkdir` applies its mode to the last one only."""
    if not path.is_dir():
        _make_directories(path.parent)
        path.mkdir(exist_ok=True, mode=0o700)
