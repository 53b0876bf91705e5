"""The smallest changes that would have let a denied request through, found by trying them on the engine itself."""

import heapq
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final

import msgspec

from moorage.policy.analysis.candidate_changes import LEVELS, Candidate, Change, candidates
from moorage.policy.analysis.changeable import Changeable
from moorage.policy.analysis.explain import SETS
from moorage.policy.engine.decision import Decision, SetName
from moorage.policy.engine.evaluate import evaluate
from moorage.policy.engine.request import Named, Policies, Request

TRIED: Final = 150
"""Evaluations for one answer."""
WRITTEN: Final = 300_000
"""Characters of the changed policies that are written for one answer; each is read and evaluated."""
STEPS: Final = 8
"""Changes in one suggestion: no request has more sets in its way."""


class Suggestion(msgspec.Struct, frozen=True):
    """Changes that together let the request through; the engine has allowed it with them."""

    changes: tuple[Change, ...]
    rule: str
    """The step that then allows it."""
    named: tuple[Named, ...]
    """The changed policies, in the order of `changes`."""


_ANYTHING: Final = Changeable()


def suggest(
    request: Request, policies: Policies, changeable: Changeable = _ANYTHING, *, most: int = 3
) -> tuple[Suggestion, ...]:
    """Up to `most` suggestions, those that open the least first; none for a request that is allowed.

    Bounded: when the search grows too long, what was found by then is all.
    """
    order = count()
    waiting: list[tuple[int, int, Policies, tuple[Candidate, ...]]] = [(0, next(order), policies, ())]
    found: list[Suggestion] = []
    tried = written = 0
    while waiting and len(found) < most and tried < TRIED and written < WRITTEN:
        cost, _, changed, made = heapq.heappop(waiting)
        tried += 1
        decision = evaluate(request, changed, detail=True)
        if decision.allowed:
            if made and not _is_more_of(found, made):
                named = tuple(each.named for each in made)
                found.append(Suggestion(tuple(each.change for each in made), decision.rule, named))
            continue
        if len(made) == STEPS:
            continue
        for candidate in candidates(decision, changed, changeable):
            written += len(candidate.change.document)
            after = with_change(changed, candidate.change, candidate.named)
            heapq.heappush(waiting, (cost + candidate.cost, next(order), after, (*made, candidate)))
            if written >= WRITTEN:
                break
    return tuple(found)


def _is_more_of(found: Iterable[Suggestion], made: Sequence[Candidate]) -> bool:
    """Whether a suggestion already found does with fewer of the same changes."""
    texts = {(each.change.set, each.change.document) for each in made}
    return any({(each.set, each.document) for each in one.changes} <= texts for one in found)


def with_change(policies: Policies, change: Change, named: Named) -> Policies:
    """The policies with one of them changed, or added."""
    name = change.set
    if name in LEVELS:
        levels = list(getattr(policies, name))
        levels[change.level] = _replaced(levels[change.level], named)
        return msgspec.structs.replace(policies, **{name: tuple(levels)})
    return msgspec.structs.replace(policies, **{name: _replaced(getattr(policies, name) or (), named)})


def _replaced(attached: Sequence[Named], named: Named) -> tuple[Named, ...]:
    """With `named` in the place of the policy it was made from, or after all others when it was made from none."""
    key = (named.name, named.hash)
    if any((each.name, each.hash) == key for each in attached):
        return tuple(named if (each.name, each.hash) == key else each for each in attached)
    return (*attached, named)


def blocked_by(decision: Decision, suggestions: Sequence[Suggestion]) -> tuple[SetName, ...]:
    """The sets that stood in the request's way: those that the smallest suggestion changes."""
    if decision.allowed:
        return ()
    if suggestions:
        return tuple(dict.fromkeys(change.set for change in suggestions[0].changes))
    return tuple(name for name in SETS if name == decision.decided_by)
