"""The line and column of a statement in the text of its policy."""

from typing import NamedTuple

from moorage.policy.language.document import Document
from moorage.policy.language.json_reader import Places, read
from moorage.policy.matching.errors import ErrorCollector


class Position(NamedTuple):
    """Both from 1."""

    line: int
    column: int


class Span(NamedTuple):
    """From the first character to the one after the last."""

    start: Position
    end: Position


def statement_span(document: Document, index: int) -> Span:
    """Return the place of the statement with that index in the text of the document."""
    places: Places = {}
    read(document.text, places, ErrorCollector(keep=False))
    place = places.get(f"/Statement/{index}") or places["/Statement"]
    return Span(_position(document.text, place.start), _position(document.text, place.end))


def _position(text: str, at: int) -> Position:
    return Position(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
