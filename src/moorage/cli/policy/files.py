"""Reads policy files that are named on the command line."""

import sys
from pathlib import Path
from typing import Final

import typer

STDIN: Final = "-"
_MOST_BYTES: Final = 1 << 16
"""More than the length of any policy. A longer file is cut, and then too long to be a policy."""


def read_policy(name: str, *, most: int = _MOST_BYTES, param_hint: str | None = None) -> str:
    """Return the first `most` bytes of a policy file, or of standard input for `-`. Raise BadParameter."""
    try:
        if name == STDIN:
            return sys.stdin.buffer.read(most).decode()
        with Path(name).open("rb") as file:
            return file.read(most).decode()
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror}", param_hint=param_hint) from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{name}: not UTF-8 at byte {error.start}", param_hint=param_hint) from error
