"""Wildcard patterns (`*` any run, `?` one character), matched without backtracking.

Both patterns and texts come from strangers. Patterns with stars only are searched literal by literal, each at its
leftmost place, never again. Patterns with question marks run side by side as one automaton whose states are the bits of
an integer: one step for each character of the text, however many patterns there are (docs/development/policy-engine.md
§3.4).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final

from moorage.policy.matching.errors import UnfitRequestError

Matcher = Callable[[str], bool]

MOST_WORK: Final = 1 << 27
"""Most characters of a text, times those of the patterns with question marks that it is compared with; this much takes
about 10 ms. A request with more is denied. 8 KiB, the longest value that clients send, times 10,240, the longest
repository policy, is two thirds of it."""


class Wild(Enum):
    """The two wildcards."""

    ANY = "*"
    ONE = "?"


Token = str | Wild
"""A literal run of characters, or a wildcard."""

_WILD: Final = {"*": Wild.ANY, "?": Wild.ONE}
_SPLIT: Final = re.compile(r"([*?])")


def tokens(text: str) -> tuple[Token, ...]:
    """Return `text` split into stars, question marks and literal runs."""
    return tuple(_WILD.get(part, part) for part in _SPLIT.split(text) if part)


def matches_everything(pattern: Sequence[Token]) -> bool:
    """Return whether the pattern consists of stars only."""
    return bool(pattern) and all(token is Wild.ANY for token in pattern)


def has_question_mark(pattern: Iterable[Token]) -> bool:
    """Return whether `?` is among the tokens of the pattern."""
    return any(token is Wild.ONE for token in pattern)


def matcher(pattern: Sequence[Token]) -> Matcher:
    """Return a function that tells whether a whole text matches the pattern."""
    if has_question_mark(pattern):
        return matcher_of_any([((pattern, False),)])
    pieces: list[list[str]] = [[]]
    for token in pattern:
        if isinstance(token, Wild):
            pieces.append([])
        else:
            pieces[-1].append(token)
    return _matcher_of_literals(["".join(piece) for piece in pieces])


Runs = Sequence[tuple[Sequence[Token], bool]]
"""A pattern in runs of tokens. True: the wildcards of the run match no colon."""


def is_searched(pattern: Iterable[Token]) -> bool:
    """Return whether there is a literal between two stars, so that a text has to be searched for it."""
    return sum(token is Wild.ANY for token in pattern) > 1


def matcher_of_any(patterns: Sequence[Runs]) -> Matcher:
    """Return a function that tells whether a whole text matches one of the patterns. It raises UnfitRequestError for
    texts that are far too long.

    State `n` of a pattern (a bit): its first `n` characters have been matched. A character of the text moves each state
    to the next one if it matches that one's character, and leaves the states before a star as they are.
    """
    length = 0
    starts: list[int] = []
    finals: list[int] = []
    questions: dict[bool, list[int]] = {False: [], True: []}
    stars: dict[bool, list[int]] = {False: [], True: []}
    places: dict[str, list[int]] = {}
    for pattern in patterns:
        starts.append(length)
        length += 1  # the state before the first character
        for run, no_colon in pattern:
            for token in run:
                if token is Wild.ANY:
                    stars[no_colon].append(length - 1)
                elif token is Wild.ONE:
                    questions[no_colon].append(length)
                    length += 1
                else:
                    for character in str(token):
                        places.setdefault(character, []).append(length)
                        length += 1
        finals.append(length - 1)
    start, final = _bits(length, starts), _bits(length, finals)
    at_colon, elsewhere = _bits(length, stars[False]), _bits(length, stars[False] + stars[True])

    def match(text: str) -> bool:
        if len(text) * length > MOST_WORK:
            raise UnfitRequestError(f"a value of {len(text)} characters is too long for patterns of {length}")
        advance = {
            character: _bits(
                length, places.get(character, []), questions[False], questions[True] if character != ":" else []
            )
            for character in set(text)
        }
        states = start
        for character in text:
            states = states << 1 & advance[character] | states & (at_colon if character == ":" else elsewhere)
            if not states:
                return False
        return bool(states & final)

    return match


def _bits(length: int, *places: Iterable[int]) -> int:
    """Return the integer of that many bits with ones at the given places."""
    made = bytearray(length // 8 + 1)
    for some in places:
        for place in some:
            made[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(made, "little")


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


def _always(_text: str) -> bool:
    return True
