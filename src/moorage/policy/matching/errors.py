"""Errors: why a text is not a policy, or a request cannot be decided; and whether the first error is raised or all are
kept."""

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
        """Return a copy of the error to raise: a kept error must not accumulate the frames it is raised in."""
        return PolicyError(self.code, self.reason, self.pointer, at=self.at)


class UnfitRequestError(Exception):
    """The request contains a value that cannot be compared: not text, or far too long. The whole request is denied."""


MOST: Final = 1000
"""Errors that are kept of one text."""


class ErrorCollector:
    """Guards the checks of a document: `with errors: check()`.

    To parse, the first PolicyError leaves the block as usual. To lint, it is kept in `found` and the rest of the text
    is checked. Both use the same grammar, so they always agree about what is a policy. After MOST errors, the next one
    ends the reading.
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
        # The traceback refers to the frames of the reader, which refer to the collector: a reference cycle for each
        # error.
        self.found.append(error.with_traceback(None))
        return True
