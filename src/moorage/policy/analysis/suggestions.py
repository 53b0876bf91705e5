"""Finds the smallest changes that would have allowed a denied request, by trying them on the engine."""

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

MAX_EVALUATIONS: Final = 150
"""Most evaluations in one search."""
MAX_CHARACTERS: Final = 300_000
"""Most characters of changed policies in one search; each is parsed and evaluated."""
MAX_CHANGES: Final = 8
"""Most changes in one suggestion; no request is blocked by more sets."""


class Suggestion(msgspec.Struct, frozen=True):
    """Changes that together allow the request, as the engine has confirmed."""

    changes: tuple[Change, ...]
    rule: str
    """Id of the evaluation step that then allows it."""
    named: tuple[Named, ...]
    """The changed policies, in the order of `changes`."""


_ANYTHING: Final = Changeable()


def suggest(
    request: Request, policies: Policies, changeable: Changeable = _ANYTHING, *, most: int = 3
) -> tuple[Suggestion, ...]:
    """Return up to `most` suggestions, those that allow the least first; none for a request that is allowed.

    The search is bounded: when it takes too long, it returns what it has found.
    """
    order = count()
    waiting: list[tuple[int, int, Policies, tuple[Candidate, ...]]] = [(0, next(order), policies, ())]
    found: list[Suggestion] = []
    tried = written = 0
    while waiting and len(found) < most and tried < MAX_EVALUATIONS and written < MAX_CHARACTERS:
        cost, _, changed, made = heapq.heappop(waiting)
        tried += 1
        decision = evaluate(request, changed, detail=True)
        if decision.allowed:
            if made and not _contains_one_of(found, made):
                named = tuple(each.named for each in made)
                found.append(Suggestion(tuple(each.change for each in made), decision.rule, named))
            continue
        if len(made) == MAX_CHANGES:
            continue
        for candidate in candidates(decision, changed, changeable):
            written += len(candidate.change.document)
            after = with_change(changed, candidate.change, candidate.named)
            heapq.heappush(waiting, (cost + candidate.cost, next(order), after, (*made, candidate)))
            if written >= MAX_CHARACTERS:
                break
    return tuple(found)


def _contains_one_of(found: Iterable[Suggestion], made: Sequence[Candidate]) -> bool:
    """Return whether a suggestion already found needs only some of these changes."""
    texts = {(each.change.set, each.change.document) for each in made}
    return any({(each.set, each.document) for each in one.changes} <= texts for one in found)


def with_change(policies: Policies, change: Change, named: Named) -> Policies:
    """Return the policies with one of them changed or added."""
    name = change.set
    if name in LEVELS:
        levels = list(getattr(policies, name))
        levels[change.level] = _replaced(levels[change.level], named)
        return msgspec.structs.replace(policies, **{name: tuple(levels)})
    return msgspec.structs.replace(policies, **{name: _replaced(getattr(policies, name) or (), named)})


def _replaced(attached: Sequence[Named], named: Named) -> tuple[Named, ...]:
    """Return the policies with `named` in place of the policy with its name and hash, or else at the end."""
    key = (named.name, named.hash)
    if any((each.name, each.hash) == key for each in attached):
        return tuple(named if (each.name, each.hash) == key else each for each in attached)
    return (*attached, named)


def blocked_by(decision: Decision, suggestions: Sequence[Suggestion]) -> tuple[SetName, ...]:
    """Return the sets that blocked the request: those that the smallest suggestion changes."""
    if decision.allowed:
        return ()
    if suggestions:
        return tuple(dict.fromkeys(change.set for change in suggestions[0].changes))
    return tuple(name for name in SETS if name == decision.decided_by)
