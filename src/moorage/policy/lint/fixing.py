"""Applies the edits of findings to the text of a policy, and keeps its layout."""

from collections.abc import Callable, Iterable
from typing import Final

from moorage.policy.lint.finding import Edit, Finding

ROUNDS: Final = 64
"""Rounds of edits. If edits overlap, one waits for the next round."""


def applied(
    text: str, findings: Iterable[Finding], *, proposals: bool = False, made: list[Finding] | None = None
) -> str:
    """Return `text` with the safe edits of the findings; with `proposals`, the other edits too. The first of
    overlapping edits is applied.

    `made`: collects the findings whose edits were applied.
    """
    fixable = [finding for finding in findings if finding.fix.edits and (finding.fix.safe or proposals)]
    chosen: list[Edit] = []
    for finding in sorted(fixable, key=lambda each: min(each.fix.edits)):
        group = finding.fix.edits
        if all(not _touch(one, other) for one in group for other in chosen):
            chosen.extend(group)
            if made is not None:
                made.append(finding)
    for edit in sorted(chosen, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def fixed(
    text: str,
    find: Callable[[str], Iterable[Finding]],
    *,
    proposals: bool = False,
    made: list[Finding] | None = None,
) -> str:
    """Return `text` after rounds of `applied` until nothing changes. `find`: lints a text. `made`: as in `applied`."""
    for _ in range(ROUNDS):
        after = applied(text, find(text), proposals=proposals, made=made)
        if after == text:
            break
        text = after
    return text


def _touch(one: Edit, other: Edit) -> bool:
    return one.start <= other.end and other.start <= one.end
