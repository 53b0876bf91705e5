"""Decides requests of which some condition keys are unknown: yes, no, or depends, with the conditions.

It is not a second evaluator. Two variants of every policy are made in which conditions on unknown keys are removed: one
allows as much as possible (conditions of an Allow are met, those of a Deny are not), the other as little as possible.
`evaluate` decides on both. If the results are equal, they are certain; otherwise the answer depends on the conditions.
Conditions that exclude or imply each other are not recognized: the answer is then "depends", which is never wrong.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Any, Final

import msgspec

from moorage.policy.engine.decision import Decision, SetName
from moorage.policy.engine.evaluate import evaluate
from moorage.policy.engine.request import Named, Policies, Request
from moorage.policy.language.document import Document
from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import parse
from moorage.policy.matching.variables import Context

_VARIABLE: Final = re.compile(r"\$\{([^}',*?$][^}',]*)")
_NEVER: Final = {"StringEquals": {"moorage:never": "true"}}
"""A condition on a key that no request has, so that it is never met."""
_SETS: Final[tuple[SetName, ...]] = ("identity", "resource", "trust", "boundary", "session")
_STRENGTHS: Final = ("none", "account", "limited", "direct", "any", "service", "federated")


class PartialVerdict(IntEnum):
    """The verdict. A greater one allows more."""

    NO = 0
    DEPENDS = 1
    YES = 2


class UnknownKeys(msgspec.Struct, frozen=True):
    """The condition keys whose presence and values are unknown. Keys in the context are known."""

    keys: frozenset[str] = frozenset()
    """In lower case."""
    prefixes: tuple[str, ...] = ()
    others: bool = False
    """Whether all other keys are unknown too; otherwise they are known to be absent."""
    absent: frozenset[str] = frozenset()
    """Keys, in lower case, that are known to be absent in any case."""

    def covers(self, key: str) -> bool:
        """Return whether the key (in lower case), which is not in the context, is unknown."""
        return key not in self.absent and (self.others or key in self.keys or key.startswith(self.prefixes))


class UnknownCondition(msgspec.Struct, frozen=True, order=True):
    """A condition on an unknown key."""

    operator: str
    key: str
    values: tuple[str, ...]


class PartialStatement(msgspec.Struct, frozen=True):
    """A statement whose known elements match the request, with its conditions on unknown keys."""

    set: SetName
    level: int
    policy: str
    allows: bool
    strength: int
    conditions: frozenset[UnknownCondition]

    def covers(self, other: "PartialStatement") -> bool:
        """Return whether it takes effect whenever `other` does, and at least as strongly."""
        return (
            (self.set, self.level, self.allows) == (other.set, other.level, other.allows)
            and self.strength >= other.strength
            and self.conditions <= other.conditions
        )


class PartialDecision(msgspec.Struct, frozen=True):
    """The decision on a request with unknown keys."""

    verdict: PartialVerdict
    clauses: frozenset[PartialStatement]
    """The statements it rests on. Equal statements give equal decisions, whatever the unknown values are."""
    open_sets: frozenset[SetName]
    """Relevant policy sets of which nothing is known."""
    root: bool = False
    """Whether it is allowed because the caller is the root user."""

    def conditions(self) -> tuple[PartialStatement, ...]:
        """Return the statements with conditions on unknown keys, in order."""
        conditional = [each for each in self.clauses if each.conditions]
        return tuple(sorted(conditional, key=lambda each: (each.allows, each.policy, sorted(each.conditions))))

    def may_exceed(self, before: "PartialDecision") -> bool:
        """Return whether this decision may allow a request that `before` denies. False is always right."""
        if self.verdict is PartialVerdict.NO or before.verdict is PartialVerdict.YES:
            return False
        if self.verdict is PartialVerdict.YES or before.verdict is PartialVerdict.NO:
            return True
        if not self.open_sets <= before.open_sets:
            return True
        allows, denies = _parted(self.clauses)
        allowed, denied = _parted(before.clauses)
        return not (
            all(any(old.covers(new) for old in allowed) for new in allows)
            and all(any(new.covers(old) for new in denies) for old in denied)
        )


class PartialEvaluator:
    """Decides such requests, and caches the variants of each policy."""

    def __init__(self) -> None:
        self._bounds: dict[tuple[int, UnknownKeys, frozenset[str]], tuple[Document, _Bounds]] = {}
        self._keys: dict[int, tuple[Document, frozenset[str]]] = {}

    def ask(
        self, request: Request, policies: Policies, unknown: UnknownKeys, open_sets: frozenset[SetName] = frozenset()
    ) -> PartialDecision:
        """Return the decision of `policies` on `request`, whose context contains the known keys.

        `open_sets`: policy sets of which nothing is known, not even whether they exist.
        """
        most = evaluate(request, self._variant(policies, request.context, unknown, open_sets, most=True))
        if not most.allowed:
            return PartialDecision(PartialVerdict.NO, frozenset(), frozenset())
        least = evaluate(request, self._variant(policies, request.context, unknown, open_sets, most=False))
        clauses = self._clauses(most, policies, request.context, unknown, open_sets, allows=True)
        clauses |= self._clauses(least, policies, request.context, unknown, open_sets, allows=False)
        verdict = PartialVerdict.YES if least.allowed else PartialVerdict.DEPENDS
        return PartialDecision(verdict, frozenset(clauses), open_sets, root=most.decided_by == "root")

    def _variant(
        self, policies: Policies, context: Context, unknown: UnknownKeys, open_sets: frozenset[SetName], *, most: bool
    ) -> Policies:
        changed: dict[str, Any] = {}
        for name in _SETS:
            attached: Sequence[Named] | None = getattr(policies, name)
            if name in open_sets:
                changed[name] = (_unknown(name, most=most),)
            elif attached:
                changed[name] = self._side(attached, context, unknown, most=most)
        for name in ("scp", "rcp"):
            levels: Sequence[Sequence[Named]] | None = getattr(policies, name)
            if name in open_sets:
                changed[name] = ((_unknown(name, most=most),),)
            elif levels:
                changed[name] = tuple(self._side(level, context, unknown, most=most) for level in levels)
        return msgspec.structs.replace(policies, **changed) if changed else policies

    def _side(
        self, attached: Sequence[Named], context: Context, unknown: UnknownKeys, *, most: bool
    ) -> tuple[Named, ...]:
        sides = []
        for named in attached:
            bounds = self._of(named.document, context, unknown)
            sides.append(Named(named.name, named.hash, bounds.most if most else bounds.least))
        return tuple(sides)

    def _of(self, document: Document, context: Context, unknown: UnknownKeys) -> "_Bounds":
        known = self._keys.get(id(document))
        if known is None:
            known = self._keys[id(document)] = (document, _keys(document))
        open_keys = frozenset(key for key in known[1] if key not in context and unknown.covers(key))
        found = self._bounds.get((id(document), unknown, open_keys))
        if found is None:
            found = self._bounds[id(document), unknown, open_keys] = (document, _bounds(document, open_keys))
        return found[1]

    def _clauses(
        self,
        decision: Decision,
        policies: Policies,
        context: Context,
        unknown: UnknownKeys,
        open_sets: frozenset[SetName],
        *,
        allows: bool,
    ) -> set[PartialStatement]:
        """Return the matching statements with that effect."""
        clauses = set()
        for one in decision.trace:
            if one.set in open_sets:
                continue
            attached = getattr(policies, one.set)
            if one.set in {"scp", "rcp"}:
                attached = attached[one.level]
            for named, trace in zip(attached, one.policies, strict=True):
                conditions = self._of(named.document, context, unknown).conditions
                clauses |= {
                    PartialStatement(
                        one.set,
                        one.level,
                        trace.name,
                        allows,
                        _STRENGTHS.index(finding.strength) if allows else 0,
                        conditions[finding.index],
                    )
                    for finding in trace.statements
                    if finding.matched and (finding.effect == "Allow") is allows
                }
        return clauses


class _Bounds(msgspec.Struct, frozen=True, gc=False):
    most: Document
    least: Document
    conditions: tuple[frozenset[UnknownCondition], ...]
    """The unknown conditions of each statement."""


def _bounds(document: Document, open_keys: frozenset[str]) -> _Bounds:
    """Return the variants that allow as much and as little as possible, for unknown values of the keys."""
    read = json.loads(document.text)
    statements = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    unknown = tuple(_unknown_conditions(one, open_keys) for one in statements)
    if not any(unknown):
        return _Bounds(document, document, unknown)
    most, least = [], []
    for statement, conditions in zip(statements, unknown, strict=True):
        relaxed = _relaxed(statement, open_keys) if conditions else statement
        never = {**statement, "Condition": _NEVER} if conditions else statement
        allow = statement["Effect"] == "Allow"
        most.append(relaxed if allow else never)
        least.append(never if allow else relaxed)
    return _Bounds(
        parse(json.dumps({**read, "Statement": most}), document.kind),
        parse(json.dumps({**read, "Statement": least}), document.kind),
        unknown,
    )


def _unknown_conditions(statement: Mapping[str, Any], open_keys: frozenset[str]) -> frozenset[UnknownCondition]:
    found = set()
    for operator, tests in statement.get("Condition", {}).items():
        for key, values in tests.items():
            texts = _texts(values)
            if not open_keys.isdisjoint({key.lower(), *_variables(texts)}):
                found.add(UnknownCondition(operator, key, tuple(texts)))
    for element in ("Resource", "NotResource"):
        texts = _texts(statement.get(element, []))
        if not open_keys.isdisjoint(_variables(texts)):
            found.add(UnknownCondition(element, "", tuple(texts)))
    return frozenset(found)


def _relaxed(statement: Mapping[str, Any], open_keys: frozenset[str]) -> dict[str, Any]:
    """Return the statement without conditions and resources that depend on the keys."""
    conditions: dict[str, Any] = {}
    for operator, tests in statement.get("Condition", {}).items():
        kept = {
            key: values
            for key, values in tests.items()
            if open_keys.isdisjoint({key.lower(), *_variables(_texts(values))})
        }
        if kept:
            conditions[operator] = kept
    relaxed = {name: value for name, value in statement.items() if name != "Condition"}
    if conditions:
        relaxed["Condition"] = conditions
    for element in ("Resource", "NotResource"):
        if not open_keys.isdisjoint(_variables(_texts(statement.get(element, [])))):
            del relaxed[element]
            relaxed["Resource"] = "*"
    return relaxed


def _keys(document: Document) -> frozenset[str]:
    read = json.loads(document.text)
    statements = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    keys: set[str] = set()
    for statement in statements:
        for tests in statement.get("Condition", {}).values():
            for key, values in tests.items():
                keys |= {key.lower(), *_variables(_texts(values))}
        for element in ("Resource", "NotResource"):
            keys |= _variables(_texts(statement.get(element, [])))
    return frozenset(keys)


def _texts(values: Any) -> list[str]:
    listed = values if isinstance(values, list) else [values]
    return [each if isinstance(each, str) else json.dumps(each) for each in listed]


def _variables(texts: Sequence[str]) -> set[str]:
    """Return the variables in the texts; also for documents older than 2012-10-17, which only adds a dependency."""
    return {key.strip().lower() for text in texts for key in _VARIABLE.findall(text)}


@cache
def _unknown(name: SetName, *, most: bool) -> Named:
    """Return a policy that allows or denies everything, in place of policies that are not known."""
    return Named("(not known)", "", _extreme(name, "Allow" if most else "Deny"))


def _extreme(name: SetName, effect: str) -> Document:
    statement = {"Effect": effect, "Action": "*", "Resource": "*"}
    if name == "rcp":
        statement["Principal"] = "*"
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), Kind(name))


def _parted(clauses: frozenset[PartialStatement]) -> tuple[list[PartialStatement], list[PartialStatement]]:
    """Return the statements that allow and those that deny."""
    return [each for each in clauses if each.allows], [each for each in clauses if not each.allows]
