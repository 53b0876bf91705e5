"""Policies in files, as the commands are given them."""

import sys
from pathlib import Path
from typing import Final

import typer

STDIN: Final = "-"
_MOST_BYTES: Final = 1 << 16
"""More than any policy's length; what is longer is cut, and then too long to be read as a policy."""


def read_policy(name: str, *, most: int = _MOST_BYTES, param_hint: str | None = None) -> str:
    """The text of a policy file, the first `most` bytes of it; `-`: of standard input. BadParameter."""
    try:
        if name == STDIN:
            return sys.stdin.buffer.read(most).decode()
        with Path(name).open("rb") as file:
            return file.read(most).decode()
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror}", param_hint=param_hint) from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{name}: not UTF-8 at byte {error.start}", param_hint=param_hint) from error
