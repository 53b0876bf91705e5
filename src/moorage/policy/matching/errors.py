"""Why a text is not a policy, or a request cannot be decided; and whether the first fault is raised or all are kept."""

from types import TracebackType
from typing import Final, Self


class PolicyError(Exception):
    """The text is not a policy of the kind asked for.

    `code` is the code of the finding (docs/reference/lint.md). `reason` is for people (a log, a lint page); each API
    has a text of its own for clients (docs/development/policy-engine.md §1.3). `pointer` is the JSON pointer (RFC 6901)
    of the element with the error; empty for the whole document. `at` is a position in the text, in characters from its
    start, for errors that have no pointer of their own: a syntax error, a duplicate key.
    """

    def __init__(self, code: str, reason: str, pointer: str = "", *, at: int | None = None) -> None:
        super().__init__(f"{pointer or '/'}: {reason}")
        self.code = code
        self.reason = reason
        self.pointer = pointer
        self.at = at

    def again(self) -> "PolicyError":
        """The same fault, to be raised once more: one that is kept must not gather the frames that it was raised in."""
        return PolicyError(self.code, self.reason, self.pointer, at=self.at)


class UnfitRequestError(Exception):
    """The request holds a value that cannot be compared: no text, or far too long. It is denied as a whole."""


MOST: Final = 1000
"""Faults that are kept of one text."""


class Faults:
    """Guards the checks of a document: `with faults: check()`.

    To parse, the first PolicyError leaves the block as usual. To lint, it is kept in `found` and the text is read on,
    so both know the same grammar and can never disagree about what is a policy. Of more than
    MOST, the next ends it.
    """

    __slots__ = ("found", "keep")

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.found: list[PolicyError] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> bool:
        if not self.keep or not isinstance(error, PolicyError) or len(self.found) >= MOST:
            return False
        # Its traceback refers to the frames of the reading, which refer to these faults: a cycle for each.
        self.found.append(error.with_traceback(None))
        return True
