"""The lines of an answer that takes long: its progress, and the end or the error that ended it."""

import msgspec
from msgspec import UNSET, UnsetType


class Progress(msgspec.Struct, frozen=True):
    """How many recorded decisions have been read, and of how many."""

    read: int
    of: int


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    """The error that ended an answer after its status was sent."""

    type: str = msgspec.field(name="__type")
    message: str


class AnswerLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON line: exactly one of its members is present. Answers add a member for their result."""

    progress: Progress | UnsetType = UNSET
    end: bool | UnsetType = UNSET
    """True in the last line of a whole answer."""
    error: LineError | UnsetType = UNSET
