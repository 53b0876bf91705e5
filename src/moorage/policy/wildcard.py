"""Wildcard patterns (`*` any run, `?` one character), matched in time linear in the text for each literal piece.

Policies are written by strangers, so no pattern may backtrack: pieces between stars are found leftmost, one after
the other, and never looked for again (policy-engine.md §3.4).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final

Matcher = Callable[[str], bool]


class Wild(Enum):
    """The two wildcards."""

    ANY = "*"
    ONE = "?"


Token = str | Wild
"""A literal run of characters, or a wildcard."""

_WILD: Final = {"*": Wild.ANY, "?": Wild.ONE}
_SPLIT: Final = re.compile(r"([*?])")


def tokens(text: str) -> tuple[Token, ...]:
    """`text` with its stars and question marks told from its literal runs."""
    return tuple(_WILD.get(part, part) for part in _SPLIT.split(text) if part)


def matches_everything(pattern: Sequence[Token]) -> bool:
    """Whether the pattern is stars only."""
    return bool(pattern) and all(token is Wild.ANY for token in pattern)


def matcher(pattern: Iterable[Token]) -> Matcher:
    """A function that tells whether a whole text matches the pattern."""
    pieces: list[list[Token]] = [[]]
    for token in pattern:
        if token is Wild.ANY:
            pieces.append([])
        else:
            pieces[-1].append(token)
    if any(Wild.ONE in piece for piece in pieces):
        return _matcher_of_expression(pieces)
    return _matcher_of_literals(["".join(str(token) for token in piece) for piece in pieces])


def _matcher_of_literals(pieces: list[str]) -> Matcher:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return first.__eq__
    middle = tuple(piece for piece in pieces[1:-1] if piece)
    if not middle and not last:
        return _always if not first else lambda text: text.startswith(first)
    least = sum(map(len, pieces))

    def match(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return match


def _matcher_of_expression(pieces: list[list[Token]]) -> Matcher:
    # Atomic groups take the leftmost find and never give it back, which is what keeps this free of backtracking.
    first, *rest = ["".join("." if token is Wild.ONE else re.escape(str(token)) for token in piece) for piece in pieces]
    if rest:
        *middle, last = rest
        first += "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + last
    expression = re.compile(first, re.DOTALL)
    return lambda text: expression.fullmatch(text) is not None


def _always(_text: str) -> bool:
    return True
