"""Proposes changes to one policy set that could allow a denied request; `suggest` finds out whether they do.

Each change allows as little as its kind can: one more value in a condition, one more action in a statement, a statement
for exactly this caller, a Deny that exempts exactly this caller.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from moorage.policy.analysis.changeable import Changeable, is_inline
from moorage.policy.analysis.suggestion_text import NEW, summary
from moorage.policy.engine.decision import Decision, SetName, SetTrace
from moorage.policy.engine.request import Named, Policies, Request
from moorage.policy.language.document import Document
from moorage.policy.language.kind import Kind, Needs
from moorage.policy.language.parsed import parse
from moorage.policy.matching.conditions import operator_name
from moorage.policy.matching.errors import PolicyError
from moorage.policy.matching.principal import Principal
from moorage.policy.matching.statement import Finding, TestDetail

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
"""Operators that are true if one of their values matches, so that one more value can make them true."""
_UNLISTED: Final = frozenset(
    {"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress"}
)
"""Operators that one more value can make false."""

LEVELS: Final = frozenset({"scp", "rcp"})
"""Sets with a sequence of policies for each level."""
_UNIDENTIFYING: Final = frozenset(
    {"aws:currenttime", "aws:epochtime", "aws:referer", "aws:tokenissuetime", "aws:useragent"}
)
"""Keys whose values do not identify a caller: they change with time, or anyone can send them."""


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """One policy, changed in one statement."""

    set: SetName
    level: int
    """Of SCPs and RCPs, from 0."""
    policy: str
    """Its name; `(new)` for one that does not exist yet."""
    hash: str
    """Of the policy before the change; empty for a new one."""
    kind: str
    """`add-value`, `add-action`, `add-resource`, `add-principal`, `add-statement`, `spare-value`, `spare-principal`,
    `remove-statement`; `replace-policy`: a permissions boundary that is managed by AWS is replaced by a copy of it with
    one more statement."""
    summary: str
    """The change in words."""
    before: Json | None
    """The statement as it is; None for a new one."""
    after: Json | None
    """The statement as it would be; None for a removed one."""
    document: str
    """The whole policy afterwards."""
    policy_kind: str
    """What `document` is, in `Kind`'s words: `repository` or `registry`, say, of the set `resource`."""
    detail: str = ""
    """The value, action, ARN or principal that is added."""


class Candidate(msgspec.Struct, frozen=True):
    """A change with the policy it results in. `cost` orders changes by how much they allow, the least first."""

    change: Change
    named: Named
    cost: int


def candidates(decision: Decision, policies: Policies, changeable: Changeable) -> Iterator[Candidate]:
    """Yield changes that could turn the decision, which must have been made with details."""
    if decision.allowed or decision.decided_by not in _KINDS:
        return
    name = cast("SetName", decision.decided_by)
    if name == "trust" and not policies.trust:
        return  # the role does not exist
    yield from _of_set(decision, name, policies, changeable)
    request = decision.request
    same_account = request.principal.account == request.resource_account
    if decision.explicit or not same_account or name not in {"identity", "boundary", "session"}:
        return
    # In the same account a resource's policy can allow by itself (docs/development/policy-engine.md §2.3, step 5, and
    # §8.2).
    others: tuple[SetName, ...] = ("resource", "trust")
    for other in others:
        attached: Sequence[Named] | None = getattr(policies, other)
        if attached or (other == "resource" and Kind.REPOSITORY in changeable.resource):
            proposer = _Proposer(request, other, changeable)
            yield from proposer.allowing(_trace(decision, other, 0), attached or (), 0)


def _of_set(decision: Decision, name: SetName, policies: Policies, changeable: Changeable) -> Iterator[Candidate]:
    """Yield changes to the set that decided; of SCPs and RCPs, to the first level that denies the request."""
    proposer = _Proposer(decision.request, name, changeable)
    attached: Sequence[Sequence[Named]] = (
        getattr(policies, name) or () if name in LEVELS else (getattr(policies, name) or (),)
    )
    for level, some in enumerate(attached):
        trace = _trace(decision, name, level)
        if (trace.result if trace is not None else "none") != ("deny" if decision.explicit else "none"):
            continue
        yield from (
            proposer.exempting(trace, some, level) if decision.explicit else proposer.allowing(trace, some, level)
        )
        return


def _trace(decision: Decision, name: SetName, level: int) -> SetTrace | None:
    return next((one for one in decision.trace if one.set == name and one.level == level), None)


class _Proposer:
    """Proposes the changes to one set."""

    def __init__(self, request: Request, name: SetName, changeable: Changeable) -> None:
        self._request = request
        self._set = name
        self._caller = request.principal
        self._changeable = changeable

    def _is_fixed(self, named: Named) -> bool:
        return self._changeable.is_fixed(self._set, named)

    def exempting(self, trace: SetTrace | None, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """Yield changes after which the first matching Deny no longer matches."""
        for named, finding in _findings(trace, policies):
            if not finding.matched or finding.effect != "Deny":
                continue
            before = _statement(named.document, finding.index)
            if before is None or self._is_fixed(named):
                return
            for test in _tests(finding):
                value = _value(test)
                if value is not None and _base(test) in _UNLISTED and test.because == "no-value-matched":
                    after = _with_value(before, test, value)
                    yield from self._replaced(named, level, finding, after, "spare-value", f"{test.key} = {value}", 1)
            if self._caller.kind not in {"anonymous", "web", "service"}:
                arn = self._caller.role_arn or self._caller.arn
                after = _sparing(before, arn)
                yield from self._replaced(named, level, finding, after, "spare-principal", arn, 3)
            yield from self._replaced(named, level, finding, None, "remove-statement", "", 9)
            return

    def allowing(self, trace: SetTrace | None, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """Yield changes after which an Allow matches."""
        for named, finding in _findings(trace, policies):
            if finding.effect != "Allow" or finding.detail is None or self._is_fixed(named):
                continue
            before = _statement(named.document, finding.index)
            if before is not None:
                yield from self._nearly(named, level, finding, before)
        yield from self._added(policies, level)

    def _nearly(self, named: Named, level: int, finding: Finding, before: Json) -> Iterator[Candidate]:
        """Yield a change to a statement of which exactly one element or condition does not match."""
        detail = finding.detail
        if detail is None:
            return
        failed = [test for test in detail.conditions if not test.matched]
        elements = [name for name in ("principal", "action", "resource") if getattr(detail, name) is False]
        if len(failed) + len(elements) != 1:
            return
        if failed:
            test = failed[0]
            value = _value(test)
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
        elif element == "principal" and isinstance(before.get("Principal"), dict) and self._caller.kind != "web":
            # A web identity needs a statement of its own, with conditions.
            key, name = _principal_entry(self._caller)
            principals = [*_listed(before["Principal"].get(key, [])), name]
            after = {**before, "Principal": {**before["Principal"], key: principals}}
            yield from self._replaced(named, level, finding, after, "add-principal", name, 4)

    def _added(self, policies: Sequence[Named], level: int) -> Iterator[Candidate]:
        """Yield a statement for exactly this caller, action and resource, in an existing policy or a new one."""
        named = self._target(policies)
        kind = self._new_kind() if named is None else named.document.kind
        if kind is None:
            return
        statement = self._statement(kind)
        if named is None:
            document = {"Version": "2012-10-17", "Statement": [statement]}
            yield from self._made(_NEW, kind, level, document, "add-statement", "", None, statement, 2)
            return
        document = json.loads(named.document.text)
        document["Statement"] = [*_listed(document["Statement"]), statement]
        change = "replace-policy" if self._is_fixed(named) else "add-statement"
        yield from self._made(named, named.document.kind, level, document, change, "", None, statement, 2)
        if kind is Kind.REPOSITORY and self._caller.kind == "role":
            # A grant to a role is limited by boundary and session policy, a grant to the session is not (§2.4).
            direct = {**statement, "Principal": {"AWS": self._caller.arn}}
            document = {**document, "Statement": [*document["Statement"][:-1], direct]}
            yield from self._made(named, named.document.kind, level, document, "add-statement", "", None, direct, 4)

    def _target(self, policies: Sequence[Named]) -> Named | None:
        """Return the policy to which a statement is added, preferably one of this caller alone; None: a new one."""
        if self._set == "boundary":  # there is at most one; it is replaced if it cannot be changed
            return policies[-1] if policies and self._changeable.own else None
        free = [each for each in policies if not self._is_fixed(each)]
        if self._set == "identity":
            free = [each for each in free if is_inline(each)]
        elif self._set == "session":
            free = [each for each in free if not each.name.startswith("arn:")]
        elif self._set == "resource":
            free = [each for each in free if each.document.kind is self._changeable.resource[0]]
        return free[-1] if free else None

    def _new_kind(self) -> Kind | None:
        """Return the kind of a new policy; None if the set cannot have another one."""
        if self._set == "resource":
            return self._changeable.resource[0] if self._changeable.resource else None
        if self._set in {"identity", "boundary"} and not self._changeable.own:
            return None
        return _KINDS[self._set]

    def _statement(self, kind: Kind) -> Json:
        """Return a statement of that kind of policy for exactly this caller, action and resource."""
        statement: Json = {"Effect": "Allow"}
        if self._set in _BY_PRINCIPAL:
            key, name = _principal_entry(self._caller)
            statement["Principal"] = "*" if name == "*" or self._set == "rcp" else {key: name}
        statement["Action"] = self._request.action
        if kind.rules.resource is Needs.REQUIRED:
            statement["Resource"] = self._request.resource
        if self._caller.kind == "web":
            statement["Condition"] = {"StringEquals": _claims(self._request)}
        return statement

    def _replaced(
        self, named: Named, level: int, finding: Finding, after: Json | None, kind: str, detail: str, cost: int
    ) -> Iterator[Candidate]:
        document = json.loads(named.document.text)
        statements = list(_listed(document["Statement"]))
        before = statements[finding.index]
        statements[finding.index : finding.index + 1] = [] if after is None else [after]
        if not statements:
            return  # a policy without statements is invalid
        document["Statement"] = statements
        yield from self._made(named, named.document.kind, level, document, kind, detail, before, after, cost)

    def _made(
        self,
        named: Named,
        policy_kind: Kind,
        level: int,
        document: Json,
        kind: str,
        detail: str,
        before: Json | None,
        after: Json | None,
        cost: int,
    ) -> Iterator[Candidate]:
        try:
            changed = parse(json.dumps(document), policy_kind)
        except PolicyError:  # for example an ARN or action that such policies cannot contain
            return
        text = changed.canonical()
        said = summary(kind, self._set, named, policy_kind, self._caller, before, detail)
        change = Change(
            self._set, level, named.name, named.hash, kind, said, before, after, text, policy_kind.value, detail
        )
        yield Candidate(change, Named(named.name, named.hash, changed), cost)


_NEW: Final = Named(NEW, "", parse('{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}', Kind.IDENTITY))
"""Stands in for a policy that does not exist yet."""


def _principal_entry(caller: Principal) -> tuple[str, str]:
    """Return how a resource policy names this caller: a role session by its role, an anonymous caller by `*`."""
    if caller.kind == "anonymous":
        return "AWS", "*"
    key = {"web": "Federated", "service": "Service"}.get(caller.kind, "AWS")
    return key, caller.role_arn or caller.arn


def _claims(request: Request) -> Json:
    """Return the condition keys for subject and audience of a web identity, with their values."""
    provider = request.principal.arn.partition(":oidc-provider/")[2]
    keys = [f"{provider}:{claim}" for claim in ("aud", "sub")]
    return {key: request.context[key.lower()] for key in keys if key.lower() in request.context}


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


def _value(test: TestDetail) -> str | None:
    """The request's value of the tested key as a policy would list exactly it; None when it has no single one."""
    seen = test.context_values
    if seen is None or len(seen) != 1 or test.key.lower() in _UNIDENTIFYING:
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
