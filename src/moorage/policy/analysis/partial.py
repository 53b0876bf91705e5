"""What a caller may do when part of the request is not known: yes, no, or it depends, and on which conditions.

Not a second evaluator: of every policy two are made whose conditions on what is unknown are left out. One errs on the
side of allowing (an Allow's conditions hold, a Deny's do not), one on the side of denying, and `evaluate` decides on
both. More that allows never denies, and more that denies never allows, so what both say is certain; where they differ,
it depends. Conditions that exclude or imply each other are not compared: then it depends, which is never wrong.
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
"""A condition on a key that no request has."""
_SETS: Final[tuple[SetName, ...]] = ("identity", "resource", "trust", "boundary", "session")
_STRENGTHS: Final = ("none", "account", "limited", "direct", "any", "service", "federated")


class PartialVerdict(IntEnum):
    """The answer; a greater one allows more."""

    NO = 0
    DEPENDS = 1
    YES = 2


class UnknownKeys(msgspec.Struct, frozen=True):
    """The condition keys whose presence and values are not known. What the context holds is known."""

    keys: frozenset[str] = frozenset()
    """In lower case."""
    prefixes: tuple[str, ...] = ()
    others: bool = False
    """Whether every key that the context does not hold is unknown (else it is known to be absent)."""
    absent: frozenset[str] = frozenset()
    """Keys, in lower case, that are known to be absent all the same."""

    def covers(self, key: str) -> bool:
        """Whether the key (in lower case), which is not in the context, is unknown."""
        return key not in self.absent and (self.others or key in self.keys or key.startswith(self.prefixes))


class UnknownCondition(msgspec.Struct, frozen=True, order=True):
    """A condition that hangs on what is unknown."""

    operator: str
    key: str
    values: tuple[str, ...]


class PartialStatement(msgspec.Struct, frozen=True):
    """A statement that meets the request as far as it is known, and the conditions that it then hangs on."""

    set: SetName
    level: int
    policy: str
    allows: bool
    strength: int
    conditions: frozenset[UnknownCondition]

    def covers(self, other: "PartialStatement") -> bool:
        """Whether it takes effect whenever `other` does, and as strongly."""
        return (
            (self.set, self.level, self.allows) == (other.set, other.level, other.allows)
            and self.strength >= other.strength
            and self.conditions <= other.conditions
        )


class PartialDecision(msgspec.Struct, frozen=True):
    """What may be said of a request that is known in part."""

    verdict: PartialVerdict
    clauses: frozenset[PartialStatement]
    """What it rests on: equal clauses, equal answers whatever the unknown turns out to be."""
    open_sets: frozenset[SetName]
    """Sets that are not known at all, as far as they count."""
    root: bool = False
    """Whether the caller's nature alone allows it."""

    def conditions(self) -> tuple[PartialStatement, ...]:
        """The clauses that make it depend, in order."""
        hanging = [each for each in self.clauses if each.conditions]
        return tuple(sorted(hanging, key=lambda each: (each.allows, each.policy, sorted(each.conditions))))

    def may_exceed(self, before: "PartialDecision") -> bool:
        """Whether there may be a request that this answer allows and `before` denies. Never wrongly False."""
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
    """Asks what is possible; keeps what it made of each policy."""

    def __init__(self) -> None:
        self._bounds: dict[tuple[int, UnknownKeys, frozenset[str]], tuple[Document, _Bounds]] = {}
        self._keys: dict[int, tuple[Document, frozenset[str]]] = {}

    def ask(
        self, request: Request, policies: Policies, unknown: UnknownKeys, open_sets: frozenset[SetName] = frozenset()
    ) -> PartialDecision:
        """What `policies` say of `request`, whose context holds only what is known.

        `open_sets`: identity, boundary or session policies, SCPs or RCPs of which nothing is known, not even whether
        there are some.
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
        """The statements of that effect that match."""
        clauses = set()
        for one in decision.trace:
            if one.set in open_sets:
                continue
            attached = getattr(policies, one.set)
            if one.set in {"scp", "rcp"}:
                attached = attached[one.level]
            for named, trace in zip(attached, one.policies, strict=True):
                hanging = self._of(named.document, context, unknown).hanging
                clauses |= {
                    PartialStatement(
                        one.set,
                        one.level,
                        trace.name,
                        allows,
                        _STRENGTHS.index(finding.strength) if allows else 0,
                        hanging[finding.index],
                    )
                    for finding in trace.statements
                    if finding.matched and (finding.effect == "Allow") is allows
                }
        return clauses


class _Bounds(msgspec.Struct, frozen=True, gc=False):
    most: Document
    least: Document
    hanging: tuple[frozenset[UnknownCondition], ...]
    """Of each statement."""


def _bounds(document: Document, open_keys: frozenset[str]) -> _Bounds:
    """The document that allows at least as much, and the one that allows at most as much, whatever the keys are."""
    read = json.loads(document.text)
    statements = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    hanging = tuple(_hanging(one, open_keys) for one in statements)
    if not any(hanging):
        return _Bounds(document, document, hanging)
    most, least = [], []
    for statement, conditions in zip(statements, hanging, strict=True):
        relaxed = _relaxed(statement, open_keys) if conditions else statement
        never = {**statement, "Condition": _NEVER} if conditions else statement
        allow = statement["Effect"] == "Allow"
        most.append(relaxed if allow else never)
        least.append(never if allow else relaxed)
    return _Bounds(
        parse(json.dumps({**read, "Statement": most}), document.kind),
        parse(json.dumps({**read, "Statement": least}), document.kind),
        hanging,
    )


def _hanging(statement: Mapping[str, Any], open_keys: frozenset[str]) -> frozenset[UnknownCondition]:
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
    """Without the conditions, and the resources, that hang on the keys."""
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
    """Also in documents of before 2012-10-17, where they are none: then something more depends."""
    return {key.strip().lower() for text in texts for key in _VARIABLE.findall(text)}


@cache
def _unknown(name: SetName, *, most: bool) -> Named:
    """In place of policies that are not known: one that allows everything, or denies it."""
    return Named("(not known)", "", _extreme(name, "Allow" if most else "Deny"))


def _extreme(name: SetName, effect: str) -> Document:
    statement = {"Effect": effect, "Action": "*", "Resource": "*"}
    if name == "rcp":
        statement["Principal"] = "*"
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), Kind(name))


def _parted(clauses: frozenset[PartialStatement]) -> tuple[list[PartialStatement], list[PartialStatement]]:
    """Those that allow and those that deny."""
    return [each for each in clauses if each.allows], [each for each in clauses if not each.allows]
