"""Applying the edits of findings to a policy's text, whose layout they leave as it is."""

from collections.abc import Callable, Iterable
from typing import Final

from moorage.policy.lint.finding import Edit, Finding

ROUNDS: Final = 64
"""How often a text is looked at again after its edits; of edits that touch, one waits for the next round."""


def applied(
    text: str, findings: Iterable[Finding], *, proposals: bool = False, made: list[Finding] | None = None
) -> str:
    """`text` with the findings' safe edits, and with `proposals` the others too. Of edits that overlap, the first.

    `made`: takes the findings whose edits were applied.
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
    """`text` after as many rounds of `applied` as change anything. `find` lints a text; `made` as in `applied`."""
    for _ in range(ROUNDS):
        after = applied(text, find(text), proposals=proposals, made=made)
        if after == text:
            break
        text = after
    return text


def _touch(one: Edit, other: Edit) -> bool:
    return one.start <= other.end and other.start <= one.end
