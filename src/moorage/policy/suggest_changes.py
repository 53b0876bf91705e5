"""Candidate changes to one policy set that could let a denied request through. Whether one does, `suggest` finds out.

Each widens as little as its kind can: a value more in a condition, an action more in a statement, a statement for
exactly this caller, a Deny that leaves exactly this caller out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from moorage.policy.conditions import operator_name
from moorage.policy.decision import Decision, SetName, SetTrace
from moorage.policy.document import Document
from moorage.policy.fault import PolicyError
from moorage.policy.kind import Kind
from moorage.policy.parsed import parse
from moorage.policy.principal import Principal
from moorage.policy.request import Named, Policies, Request
from moorage.policy.statement import Finding, TestDetail

Json = dict[str, Any]

_KINDS: Final[Mapping[SetName, Kind]] = {
    "identity": Kind.IDENTITY,
    "resource": Kind.REPOSITORY,
    "trust": Kind.TRUST,
    "boundary": Kind.BOUNDARY,
    "session": Kind.SESSION,
    "scp": Kind.SCP,
    "rcp": Kind.RCP,
}
_BY_PRINCIPAL: Final = frozenset({"resource", "trust", "rcp"})
_LISTED: Final = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "NumericEquals"}
)
"""Operators that hold when one of their values matches, so that a value more can make them hold."""
_UNLISTED: Final = frozenset(
    {"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress"}
)
"""Operators that a value more can make fail."""

LEVELS: Final = frozenset({"scp", "rcp"})
"""Sets with one sequence of policies a level."""
_PASSING: Final = frozenset({"aws:currenttime", "aws:epochtime", "aws:referer", "aws:tokenissuetime", "aws:useragent"})
"""Keys whose value says nothing of who may come again: it passes, or anybody can send it."""
NEW: Final = "(new)"


class Change(msgspec.Struct, frozen=True):
    """One policy, changed in one statement."""

    set: SetName
    level: int
    """Of SCPs and RCPs, from 0."""
    policy: str
    """Its name; `(new)` for one that is not there yet."""
    hash: str
    """Of the policy before the change; empty for a new one."""
    kind: str
    """`add-value`, `add-action`, `add-resource`, `add-principal`, `add-statement`, `spare-value`, `spare-principal`,
    `remove-statement`."""
    summary: str
    """What is done, in words."""
    before: Json | None
    """The statement as it is; None for a new one."""
    after: Json | None
    """The statement as it would be; None for a removed one."""
    document: str
    """The whole policy afterwards."""
    detail: str = ""
    """The value, action, ARN or principal that is added."""


class Candidate(msgspec.Struct, frozen=True):
    """A change with the policy it makes. `cost` orders changes by how much they open, the least first."""

    change: Change
    named: Named
    cost: int


def candidates(decision: Decision, policies: Policies, *, has_policy: bool) -> Iterator[Candidate]:
    """Changes to the sets that could turn the decision, which has details.

    `has_policy`: the resource is one that can have a policy of its own.
    """
    if decision.allowed or decision.decided_by not in _KINDS:
        return
    name = cast("SetName", decision.decided_by)
    if name == "trust" and not policies.trust:
        return  # there is no such role
    if name != "resource" or has_policy:
        yield from _of_set(decision, name, policies)
    request = decision.request
    same_account = request.principal.account == request.resource_account
    if not decision.explicit and same_account and has_policy and name in {"identity", "boundary", "session"}:
        # In the same account a repository policy can allow by itself (policy-engine.md §2.3, step 5).
        yield from _Maker(request, "resource").widened(_trace(decision, "resource", 0), policies.resource or (), 0)


def _of_set(decision: Decision, name: SetName, policies: Policies) -> Iterator[Candidate]:
    """Changes to the set that decided; of SCPs and RCPs, to the first level that stands in the way."""
    maker = _Maker(decision.request, name)
    attached: Sequence[Sequence[Named]] = (
        getattr(policies, name) or () if name in LEVELS else (getattr(policies, name) or (),)
    )
    for level, some in enumerate(attached):
        trace = _trace(decision, name, level)
        if (trace.result if trace is not None else "none") != ("deny" if decision.explicit else "none"):
            continue
        yield from maker.spared(trace, some, level) if decision.explicit else maker.widened(trace, some, level)
        return


def _trace(decision: Decision, name: SetName, level: int) -> SetTrace | None:
    return next((one for one in decision.trace if one.set == name and one.level == level), None)


class _Maker:
    """Makes the candidates of one set."""

    def __init__(self, request: Request, name: SetName) -> None:
        self._request = request
        self._set = name
        self._caller = request.principal

    def spared(self, trace: SetTrace | None, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """Changes that keep the first Deny that matches from matching."""
        for named, finding in _findings(trace, policies):
            if not finding.matched or finding.effect != "Deny":
                continue
            before = _statement(named.document, finding.index)
            if before is None:
                return
            for test in _tests(finding):
                value = _value(test, self._request)
                if value is not None and _base(test) in _UNLISTED and test.because == "no-value-matched":
                    after = _with_value(before, test, value)
                    yield from self._replaced(named, level, finding, after, "spare-value", f"{test.key} = {value}", 1)
            if self._set != "rcp":
                arn = self._caller.role_arn or self._caller.arn
                if self._caller.kind not in {"anonymous", "service"}:
                    after = _sparing(before, arn)
                    yield from self._replaced(named, level, finding, after, "spare-principal", arn, 3)
            yield from self._replaced(named, level, finding, None, "remove-statement", "", 9)
            return

    def widened(self, trace: SetTrace | None, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """Changes that make an Allow match."""
        for named, finding in _findings(trace, policies):
            if finding.effect != "Allow" or finding.detail is None:
                continue
            before = _statement(named.document, finding.index)
            if before is not None:
                yield from self._nearly(named, level, finding, before)
        yield from self._added(policies, level)

    def _nearly(self, named: Named, level: int, finding: Finding, before: Json) -> Iterator[Candidate]:
        """For a statement that fails in one thing only: that thing."""
        detail = finding.detail
        if detail is None:
            return
        failed = [test for test in detail.conditions if not test.matched]
        elements = [name for name in ("principal", "action", "resource") if getattr(detail, name) is False]
        if len(failed) + len(elements) != 1:
            return
        if failed:
            test = failed[0]
            value = _value(test, self._request)
            if value is not None and _base(test) in _LISTED and test.because == "no-value-matched":
                after = _with_value(before, test, value)
                yield from self._replaced(named, level, finding, after, "add-value", f"{test.key} = {value}", 1)
            return
        (element,) = elements
        if element == "action" and "Action" in before:
            after = {**before, "Action": [*_listed(before["Action"]), self._request.action]}
            yield from self._replaced(named, level, finding, after, "add-action", self._request.action, 3)
        elif element == "resource" and "Resource" in before:
            after = {**before, "Resource": [*_listed(before["Resource"]), self._request.resource]}
            yield from self._replaced(named, level, finding, after, "add-resource", self._request.resource, 3)
        elif element == "principal" and isinstance(before.get("Principal"), dict):
            name = principal_named(self._caller)
            aws = [*_listed(before["Principal"].get("AWS", [])), name]
            after = {**before, "Principal": {**before["Principal"], "AWS": aws}}
            yield from self._replaced(named, level, finding, after, "add-principal", name, 4)

    def _added(self, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """A statement for exactly this caller, action and resource, in the last policy or a new one."""
        statement: Json = {"Effect": "Allow"}
        if self._set in _BY_PRINCIPAL:
            name = "*" if self._set == "rcp" else principal_named(self._caller)
            statement["Principal"] = "*" if name == "*" else {"AWS": name}
        statement["Action"] = self._request.action
        registry = bool(policies) and policies[-1].document.kind is Kind.REGISTRY
        if self._set not in {"resource", "trust"} or registry:
            statement["Resource"] = self._request.resource
        if not policies:
            yield from self._new(level, statement)
            return
        named = next((each for each in policies if each.document.kind is not Kind.REGISTRY), policies[-1])
        document = json.loads(named.document.text)
        document["Statement"] = [*_listed(document["Statement"]), statement]
        yield from self._made(named, level, document, "add-statement", "", None, statement, 2)
        if self._set == "resource" and self._caller.kind == "role" and named.document.kind is Kind.REPOSITORY:
            # A role's grant is limited by its boundary and session policy, the session's own name is not (§2.4).
            direct = {**statement, "Principal": {"AWS": self._caller.arn}}
            document = {**document, "Statement": [*document["Statement"][:-1], direct]}
            yield from self._made(named, level, document, "add-statement", "", None, direct, 4)

    def _new(self, level: int, statement: Json) -> Iterator[Candidate]:
        document = {"Version": "2012-10-17", "Statement": [statement]}
        empty = Named(NEW, "", _NOTHING)
        yield from self._made(empty, level, document, "add-statement", "", None, statement, 2)

    def _replaced(
        self, named: Named, level: int, finding: Finding, after: Json | None, kind: str, detail: str, cost: int
    ) -> Iterator[Candidate]:
        document = json.loads(named.document.text)
        statements = list(_listed(document["Statement"]))
        before = statements[finding.index]
        statements[finding.index : finding.index + 1] = [] if after is None else [after]
        if not statements:
            # A policy without statements is none; it goes as a whole.
            return
        document["Statement"] = statements
        yield from self._made(named, level, document, kind, detail, before, after, cost)

    def _made(
        self,
        named: Named,
        level: int,
        document: Json,
        kind: str,
        detail: str,
        before: Json | None,
        after: Json | None,
        cost: int,
    ) -> Iterator[Candidate]:
        policy_kind = _KINDS[self._set] if not named.hash else named.document.kind
        try:
            made = parse(json.dumps(document), policy_kind)
        except PolicyError:  # e.g. an ARN that may not stand there
            return
        text = made.canonical()
        summary = _SUMMARIES[kind].format(statement=_called(before), policy=_policy(self._set, named), detail=detail)
        change = Change(self._set, level, named.name, named.hash, kind, summary, before, after, text, detail)
        yield Candidate(change, Named(named.name, named.hash, made), cost)


_NOTHING: Final = parse('{"Statement":{"Effect":"Deny","Action":"a:b","Resource":"*"}}', Kind.IDENTITY)
"""Stands in for the policy that is not there yet."""

_SUMMARIES: Final[Mapping[str, str]] = {
    "add-value": "in {policy}, let {statement} also match {detail}",
    "add-action": "in {policy}, add {detail} to {statement}",
    "add-resource": "in {policy}, add {detail} to {statement}",
    "add-principal": "in {policy}, add {detail} to {statement}",
    "add-statement": "add a statement to {policy}",
    "spare-value": "in {policy}, let {statement} leave out {detail}",
    "spare-principal": "in {policy}, let {statement} leave out {detail}",
    "remove-statement": "remove {statement} from {policy}",
}
_POLICIES: Final[Mapping[SetName, str]] = {
    "identity": "identity policy",
    "resource": "repository policy",
    "trust": "trust policy",
    "boundary": "permissions boundary",
    "session": "session policy",
    "scp": "service control policy",
    "rcp": "resource control policy",
}


def _policy(name: SetName, named: Named) -> str:
    called = "registry policy" if named.document.kind is Kind.REGISTRY else _POLICIES[name]
    if not named.hash:
        return f"a new {called}"
    return f"the {called}" if name in {"resource", "trust"} else f"the {called} {named.name}"


def _called(statement: Json | None) -> str:
    if statement is None:
        return ""
    sid = statement.get("Sid")
    return f"statement {sid!r}" if sid else f"the {statement['Effect']} statement"


def principal_named(caller: Principal) -> str:
    """How a resource policy names exactly this caller; a role's sessions by the role, everyone anonymous by `*`."""
    return "*" if caller.kind == "anonymous" else caller.role_arn or caller.arn


def _findings(trace: SetTrace | None, policies: Sequence[Named]) -> Iterator[tuple[Named, Finding]]:
    if trace is None:
        return
    for named, one in zip(policies, trace.policies, strict=True):
        for finding in one.statements:
            yield named, finding


def _tests(finding: Finding) -> Sequence[TestDetail]:
    return () if finding.detail is None else finding.detail.conditions


def _statement(document: Document, index: int) -> Json | None:
    statements = _listed(json.loads(document.text)["Statement"])
    return statements[index] if index < len(statements) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _base(test: TestDetail) -> str:
    name = operator_name(test.operator)
    return "" if name is None or name.base is None or name.qualifier else name.base.name


def _value(test: TestDetail, request: Request) -> str | None:
    """The request's value of the tested key as a policy would list exactly it; None when it has no single one."""
    seen = test.context_values
    if seen is None or len(seen) != 1 or test.key.lower() in _PASSING:
        return None
    value = seen[0]
    if _base(test) in {"IpAddress", "NotIpAddress"}:
        return f"{value}/{128 if ':' in value else 32}"
    return value.replace("${", "${$}{") if "${" in value else value


def _with_value(statement: Json, test: TestDetail, value: str) -> Json:
    """The statement with one value more in that test."""
    condition = dict(statement["Condition"])
    for operator, keys in condition.items():
        named = operator_name(operator)
        if named is not None and named.text == test.operator and test.key in keys:
            condition[operator] = {**keys, test.key: [*_listed(keys[test.key]), value]}
            break
    return {**statement, "Condition": condition}


def _sparing(statement: Json, arn: str) -> Json:
    """The statement with a condition that leaves the principal with that ARN out."""
    condition = dict(statement.get("Condition", {}))
    operator, key = "ArnNotEquals", "aws:PrincipalArn"
    there = condition.get(operator, {})
    same = next((each for each in there if each.lower() == key.lower()), key)
    condition[operator] = {**there, same: [*_listed(there[same]), arn] if same in there else arn}
    return {**statement, "Condition": condition}
