"""A document narrowed down to one caller and one action: what is settled by them, and what hangs on more.

Most statements of a policy name other principals or other actions. Which ones depends on nothing else, so it is found
out once and kept: the next request of the same caller for the same action looks only at the rest.
"""

from collections.abc import Hashable, Sequence
from typing import Final

import msgspec

from moorage.policy.statement import Finding, Inquiry, Statement

_KEPT: Final = 64
"""Narrowings kept for a document at most, which is about what its statements take; past it, it starts anew."""


class Narrowing(msgspec.Struct, frozen=True, gc=False):
    """How every statement meets a caller and an action."""

    findings: tuple[Finding, ...]
    """Of each statement in order. Those of `open` may still fail."""
    settled: tuple[Finding, ...]
    """The findings of statements that match, whatever the resource and the context."""
    open: tuple[tuple[Statement, Finding], ...]
    """Statements that match so far, and hang on the resource or the context."""


class Narrowings:
    """A document's statements, narrowed down."""

    __slots__ = ("_kept", "_statements")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self._statements = tuple(statements)
        self._kept: dict[Hashable, Narrowing] = {}

    def of(self, inquiry: Inquiry, *, by_principal: bool) -> Narrowing:
        """What caller and action of the inquiry leave; `by_principal` as for `Statement.meet`."""
        key = (inquiry.caller, inquiry.action, inquiry.bounded) if by_principal else inquiry.action
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            known = self._kept[key] = self._narrow(inquiry, by_principal)
        return known

    def _narrow(self, inquiry: Inquiry, by_principal: bool) -> Narrowing:
        findings = tuple(statement.meet(inquiry, by_principal=by_principal) for statement in self._statements)
        matching = [each for each in zip(self._statements, findings, strict=True) if each[1].matched]
        return Narrowing(
            findings,
            tuple(finding for statement, finding in matching if not statement.hangs),
            tuple((statement, finding) for statement, finding in matching if statement.hangs),
        )
