"""A finding: what is wrong, where, and how to fix it."""

import bisect
import re
from typing import NamedTuple

from moorage.policy.lint.codes import CODES, Severity


class Position(NamedTuple):
    """A place in the text, counted in characters, not bytes."""

    line: int
    """From 1."""
    column: int
    """From 1."""
    offset: int
    """From 0."""


class Edit(NamedTuple):
    """Replaces the characters from `start` up to `end` with `text`."""

    start: int
    end: int
    text: str


class Fix(NamedTuple):
    """How to fix a finding.

    `safe` edits change nothing that a valid policy decides, or repair a policy that cannot be set and whose meaning is
    clear. Other edits are proposals, which a person has to judge.
    """

    words: str
    edits: tuple[Edit, ...] = ()
    safe: bool = False


class Finding(NamedTuple):
    """`pointer`: the JSON pointer of the element, empty for the whole document."""

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
    """Converts offsets in a text to lines and columns."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        """Return the place of `offset`; the end of the text for any offset beyond it."""
        offset = min(max(offset, 0), self._length)
        line = bisect.bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1, offset)
