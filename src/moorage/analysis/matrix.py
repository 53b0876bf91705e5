"""The access matrix: whether a subject has a capability in a repository, what that depends on, and what widens it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access.context import Values
from moorage.access.recovery import is_root_recovery
from moorage.analysis.access_report import CAPABILITIES, AccessAnswer, AccessCell, AccessRow, WidenedAccess
from moorage.analysis.matrix_subjects import MatrixSubject
from moorage.policy.analysis.partial import (
    PartialDecision,
    PartialEvaluator,
    PartialStatement,
    PartialVerdict,
    UnknownCondition,
)
from moorage.policy.catalog.actions import ADMINISTER, DELETE, PULL, PUSH, SIGN_IN

ACTIONS: Final = (
    SIGN_IN,
    *policy.ON_REPOSITORY,
)
_ANSWERS: Final[Mapping[PartialVerdict, AccessAnswer]] = {
    PartialVerdict.YES: "yes",
    PartialVerdict.NO: "no",
    PartialVerdict.DEPENDS: "depends",
}


class TargetRepository(msgspec.Struct, frozen=True):
    """A repository with the policy that it has or would have."""

    arn: str
    account: str
    region: str
    tags: Mapping[str, str]
    policy: policy.Named | None
    root_recovers: bool = False

    def resource_of(self, subject: MatrixSubject, action: str) -> tuple[str, str]:
        """Return the resource that an action is decided on, and its account. Subjects sign in to their own registry."""
        if action == SIGN_IN:
            return "*", subject.principal.account or self.account
        return self.arn, self.account


class ApplicablePolicies(msgspec.Struct, frozen=True):
    """The policies and condition keys that apply to one action, besides the subject's and the repository's policies."""

    registry: tuple[policy.Named, ...] = ()
    """The registry policy, if it applies to the action."""
    scp: Sequence[Sequence[policy.Named]] | None = None
    rcp: Sequence[Sequence[policy.Named]] | None = None
    keys: Mapping[str, str | tuple[str, ...]] = {}
    """Condition keys of the organization."""
    absent: frozenset[str] = frozenset()
    """Condition keys of the organization that such a request does not have."""
    open_sets: frozenset[policy.SetName] = frozenset()
    """Guardrails that are not known."""


_NO_POLICIES: Final = ApplicablePolicies()
_NO: Final = PartialDecision(PartialVerdict.NO, frozenset(), frozenset())


class MatrixRow(msgspec.Struct, frozen=True):
    """What a subject may do with a repository, for each action."""

    subject: MatrixSubject
    repository: TargetRepository
    decisions: Mapping[str, PartialDecision]

    def cell(self, capability: str) -> AccessCell:
        """Return the cell of one of CAPABILITIES."""
        actions = needed(capability, self.subject.kind)
        decisions = {action: self.decisions[action] for action in actions}
        pick = max if capability == "administer" else min
        verdict = pick(decision.verdict for decision in decisions.values())
        conditions: dict[str, None] = {}
        if verdict is PartialVerdict.DEPENDS:
            for action, decision in decisions.items():
                if decision.verdict is PartialVerdict.DEPENDS:
                    conditions |= dict.fromkeys(condition_texts(decision, self.subject, action))
        missing = [action for action, decision in decisions.items() if decision.verdict is PartialVerdict.NO]
        return AccessCell(_ANSWERS[verdict], list(conditions), missing)


def needed(capability: str, kind: str) -> tuple[str, ...]:
    """Return the actions of a capability. Anonymous callers and services do not sign in."""
    sign_in = () if kind in {"anonymous", "service"} else (SIGN_IN,)
    by_capability = {"pull": (*sign_in, *PULL), "push": (*sign_in, *PUSH), "delete": DELETE, "administer": ADMINISTER}
    return by_capability[capability]


class Matrix:
    """Computes rows, and caches what it derives from each policy."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        """`given`: condition keys (in any case) with fixed values, such as aws:SourceIp."""
        self._given = {key.lower(): value for key, value in (given or {}).items()}
        self._evaluator = PartialEvaluator()

    def row(
        self,
        subject: MatrixSubject,
        repository: TargetRepository,
        applicable: Mapping[str, ApplicablePolicies] | None = None,
    ) -> MatrixRow:
        """Return what the subject may do with the repository. `applicable`: by action; default: no policies."""
        by_action = applicable or {}
        decisions = {
            action: self._decide(subject, repository, action, by_action.get(action, _NO_POLICIES)) for action in ACTIONS
        }
        return MatrixRow(subject, repository, decisions)

    def _decide(
        self, subject: MatrixSubject, repository: TargetRepository, action: str, applicable: ApplicablePolicies
    ) -> PartialDecision:
        if subject.only is not None and action not in subject.only:
            return _NO
        resource, account = repository.resource_of(subject, action)
        context: Values = {**subject.known, **applicable.keys, "aws:requestedregion": repository.region, **self._given}
        context["aws:resourceaccount"] = account
        if action != SIGN_IN:
            for key, value in repository.tags.items():
                context[f"aws:resourcetag/{key.lower()}"] = context[f"ecr:resourcetag/{key.lower()}"] = value
        request = policy.Request(subject.principal, action, resource, account, context)
        attached = applicable.registry
        if action != SIGN_IN and repository.policy is not None:
            attached = (repository.policy, *attached)
        if repository.root_recovers and is_root_recovery(request, verified=True):
            attached = ()
        policies = msgspec.structs.replace(
            subject.policies, resource=attached or None, scp=applicable.scp, rcp=applicable.rcp
        )
        unknown = subject.unknown
        if applicable.absent:
            unknown = msgspec.structs.replace(unknown, absent=applicable.absent)
        return self._evaluator.ask(request, policies, unknown, subject.open_sets | applicable.open_sets)


def widened(before: MatrixRow, after: MatrixRow) -> list[WidenedAccess]:
    """Return the actions of which `after` may allow more than `before`. None is missed."""
    found = []
    for action, now in after.decisions.items():
        was = before.decisions[action]
        if now.may_exceed(was):
            certain = PartialVerdict.NO is was.verdict and PartialVerdict.YES is now.verdict
            name = after.subject.name
            conditions = condition_texts(now, after.subject, action)
            found.append(WidenedAccess(name, action, _ANSWERS[was.verdict], _ANSWERS[now.verdict], conditions, certain))
    return found


def condition_texts(decision: PartialDecision, subject: MatrixSubject, action: str) -> list[str]:
    """Return what a decision depends on, in words. What the reader may not see is only mentioned."""
    hidden = _hidden(subject, action)
    clauses = decision.conditions()
    texts = [_clause(each) for each in clauses if each.set not in hidden]
    if not decision.open_sets.isdisjoint(_GUARDRAILS):
        texts.append("the guardrails of the caller's account, which differ between accounts")
    elif any(each.set in hidden for each in clauses):
        texts.append(f"the guardrails of account {subject.principal.account}")
    if "identity" in decision.open_sets:
        texts.append("the policies of the caller's account, which are not stored here")
    elif "session" in decision.open_sets:
        texts.append("the session's policies, which are not stored here")
    return texts


_GUARDRAILS: Final[frozenset[policy.SetName]] = frozenset({"scp", "rcp"})


def _hidden(subject: MatrixSubject, action: str) -> frozenset[policy.SetName]:
    """Return the sets whose conditions are only mentioned. For sign-in, all guardrails are of the caller's account."""
    if not subject.is_private:
        return frozenset()
    return _GUARDRAILS if action == SIGN_IN else frozenset({"scp"})


_OPPOSITES: Final[Mapping[str, str]] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
}
_OPPOSITE: Final = {**_OPPOSITES, **{positive: negated for negated, positive in _OPPOSITES.items()}}
"""The negation of each operator: it is true exactly if the operator is false, also if the key is absent."""


def _clause(clause: PartialStatement) -> str:
    """Return the conditions of a statement. A Deny with negated tests is stated by what the request needs."""
    tests = sorted(clause.conditions)
    if not clause.allows and any(_operator(each) in _OPPOSITES for each in tests):
        needed = [_OPPOSITE.get(_operator(each)) for each in tests]
        if None not in needed:
            return "if " + " or ".join(_test(name or "", each) for name, each in zip(needed, tests, strict=True))
    return f"{'if' if clause.allows else 'unless'} {' and '.join(_test(each.operator, each) for each in tests)}"


def _operator(test: UnknownCondition) -> str:
    """Return its operator. A negated operator is true without the key in any case, so that IfExists is left out."""
    plain = test.operator.removesuffix("IfExists")
    return plain if plain in _OPPOSITES else test.operator


def _test(operator: str, test: UnknownCondition) -> str:
    return f"{operator} {test.key} {', '.join(test.values)}".replace("  ", " ")


def report_row(row: MatrixRow, before: MatrixRow | None) -> AccessRow:
    """Return the row as it is reported. `before`: the row that it is compared with."""
    return AccessRow(
        row.subject.name,
        row.subject.kind,
        row.repository.arn,
        {name: row.cell(name) for name in CAPABILITIES},
        None if before is None else {name: before.cell(name) for name in CAPABILITIES},
        row.subject.note,
    )
