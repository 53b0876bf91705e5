"""One finding of lint: what, where, and the way out."""

import bisect
import re
from typing import NamedTuple

from moorage.policy.lint.codes import CODES, Severity


class Position(NamedTuple):
    """A place in the text. Counted in characters, not bytes."""

    line: int
    """From 1."""
    column: int
    """From 1."""
    offset: int
    """From 0."""


class Edit(NamedTuple):
    """Replace the characters from `start` up to `end` by `text`."""

    start: int
    end: int
    text: str


class Fix(NamedTuple):
    """What to do.

    `safe` edits change nothing that a valid policy decides, or repair one that could not be set and whose meaning is
    plain. Other edits are proposals: what they change is for a person to judge.
    """

    words: str
    edits: tuple[Edit, ...] = ()
    safe: bool = False


class Finding(NamedTuple):
    """`pointer` is the JSON pointer of what is at fault, empty for the whole document."""

    code: str
    message: str
    pointer: str
    start: Position
    end: Position
    fix: Fix

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity


class Lines:
    """Offsets of a text as lines and columns."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        """Where `offset` is; the text's end for anything behind it."""
        offset = min(max(offset, 0), self._length)
        line = bisect.bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1, offset)
