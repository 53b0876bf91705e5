"""The decision: every statement is read against the request, and what they say is combined (policy-engine.md §2)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from moorage.policy.conditions import UnfitRequestError
from moorage.policy.decision import Decision, PolicyTrace, SetName, SetTrace, Verdict
from moorage.policy.principal import NONE, STRENGTHS, Principal
from moorage.policy.request import Named, Policies, Request
from moorage.policy.ruling import Ruling, rule
from moorage.policy.statement import Finding, Inquiry, Statement
from moorage.policy.variables import Context

_KINDS: Final = ("root", "user", "role", "federated", "web", "service", "anonymous")
_WITH_IDENTITY: Final = frozenset({"root", "user", "role", "federated"})
_KEPT: Final = 64
"""Conclusions that a plan keeps at most; past them it starts anew."""
_LONGEST_KEPT: Final = 256
"""Characters of a condition key's value that one is kept under."""


class _Narrowed(msgspec.Struct, frozen=True, gc=False):
    """A policy, narrowed down to a caller and an action."""

    policy: Named
    findings: tuple[Finding, ...]
    """Of each statement in order."""
    open: tuple[int, ...]
    """Which of them hang on more than caller and action: they match so far, and may still fail."""


class _Set(msgspec.Struct, frozen=True, gc=False):
    """A policy set, narrowed down."""

    name: SetName
    policies: tuple[_Narrowed, ...]
    by_principal: bool
    level: int


def evaluate(request: Request, policies: Policies, *, detail: bool = False) -> Decision:
    """Whether `request` is allowed by `policies`, with the trace of every statement. Never raises.

    `detail` fills each finding's `detail`: the same evaluation, which then looks at every element of a statement
    rather than stopping at the first that fails. A request that cannot be read (an unknown kind of principal, a
    context value that is not text) is denied.
    """
    plan = Plan(request.principal, request.action, policies)
    return plan.decide(request.resource, request.resource_account, request.context, detail=detail)


_Conclusion: TypeAlias = tuple[Ruling, tuple[SetTrace, ...]]
"""What the findings say together, and all of them."""


class Plan:
    """The policies that apply to a caller, narrowed down to an action: made once, asked again and again.

    Most statements of a policy name other principals or other actions. Which ones depends on nothing else, so a plan
    has settled it, and checks only the others. What all findings say together is concluded once for each combination of
    them, and for each combination of the values that they were found on.
    """

    __slots__ = (
        "_by_values",
        "_conclusions",
        "_inquiry",
        "_open",
        "_reads",
        "_reads_resource",
        "_sets",
        "action",
        "caller",
        "policies",
    )

    def __init__(self, caller: Principal, action: str, policies: Policies) -> None:
        """`action`: `service:Name`, in any case."""
        self.caller: Final = caller
        self.action: Final = action
        self.policies: Final = policies
        self._inquiry: Final = _inquiry(caller, action, policies)
        self._sets: Final = () if self._inquiry is None else tuple(_sets(self._inquiry, policies))
        self._open: Final[tuple[tuple[Statement, Finding], ...]] = tuple(
            (narrowed.policy.document.statements[index], narrowed.findings[index])
            for one in self._sets
            for narrowed in one.policies
            for index in narrowed.open
        )
        self._reads: Final = _reads([statement for statement, _ in self._open])
        self._reads_resource: Final = any(statement.reads_resource for statement, _ in self._open)
        self._by_values: Final[dict[tuple[object, ...], _Conclusion]] = {}
        self._conclusions: Final[dict[tuple[str | int, ...], _Conclusion]] = {}

    def decide(self, resource: str, account: str, context: Context, *, detail: bool = False) -> Decision:
        """The decision on a resource (an ARN, or `*`) of `account`, as `evaluate` makes it."""
        request = Request(self.caller, self.action, resource, account, context)
        if self._inquiry is None or not _is_fit(resource, account, context):
            return _unfit(request)
        try:
            ruling, trace = self._concluded(resource, account, context)
        except UnfitRequestError:
            return _unfit(request)
        if detail:
            trace = tuple(
                _explained(self._inquiry, resource, context, one, told)
                for one, told in zip(self._sets, trace, strict=True)
            )
        return Decision(request, ruling.allowed, ruling.explicit, ruling.decided_by, ruling.rule, trace)

    def _concluded(self, resource: str, account: str, context: Context) -> _Conclusion:
        reads = self._reads
        if reads is None:
            return self._checked(resource, account, context)
        values = (account, resource if self._reads_resource else None, *[context.get(key) for key in reads])
        try:
            known = self._by_values.get(values)
        except TypeError:  # a value that can be no key, and so is no text
            return self._checked(resource, account, context)
        if known is None:
            known = self._checked(resource, account, context)
            if all(value is None or (type(value) is str and len(value) <= _LONGEST_KEPT) for value in values):
                if len(self._by_values) >= _KEPT:
                    self._by_values.clear()
                self._by_values[values] = known
        return known

    def _checked(self, resource: str, account: str, context: Context) -> _Conclusion:
        """Raises UnfitRequestError."""
        found = [statement.check(resource, context, met) for statement, met in self._open]
        key: tuple[str | int, ...] = (account, *map(id, found))
        known = self._conclusions.get(key)
        if known is None:
            if len(self._conclusions) >= _KEPT:
                self._conclusions.clear()
            # The findings whose ids make the key live on in the trace, so that nothing else has these ids.
            known = self._conclusions[key] = self._conclude(found, account)
        return known

    def _conclude(self, found: Sequence[Finding], account: str) -> _Conclusion:
        """`found`: the findings of the open statements, in order."""
        rest = iter(found)
        trace = tuple([_set_trace(one, rest) for one in self._sets])
        return rule(self.caller, account, self.policies, trace), trace


def _reads(statements: Sequence[Statement]) -> tuple[str, ...] | None:
    """The condition keys that these ask, each once; None where policy variables may ask others."""
    keys: list[str] = []
    for each in statements:
        if each.reads is None:
            return None
        keys += each.reads
    return tuple(dict.fromkeys(keys))


def _inquiry(caller: Principal, action: str, policies: Policies) -> Inquiry | None:
    """None for what no policy can be asked: also for a caller whose members are not all texts."""
    try:
        hash(caller)
    except TypeError:
        return None
    if isinstance(action, str) and isinstance(caller, Principal) and caller.kind in _KINDS:
        return Inquiry(caller, action.lower(), policies.boundary is not None)
    return None


def _is_fit(resource: str, account: str, context: Context) -> bool:
    return (
        isinstance(resource, str)
        and isinstance(account, str)
        and (type(context) is dict or isinstance(context, Mapping))  # the second alone takes longer than all the rest
    )


def _unfit(request: Request) -> Decision:
    return Decision(request, False, False, "request", "0-unfit-request", ())


def _sets(inquiry: Inquiry, policies: Policies) -> Iterator[_Set]:
    """Every set that is attached and applies to this kind of caller, narrowed down."""
    kind = inquiry.caller.kind
    if policies.resource is not None:
        yield _narrowed("resource", policies.resource, inquiry, by_principal=True)
    if policies.trust is not None:
        yield _narrowed("trust", policies.trust, inquiry, by_principal=True)
    if kind in _WITH_IDENTITY:
        if kind != "root":
            if policies.identity is not None:
                yield _narrowed("identity", policies.identity, inquiry)
            if policies.boundary is not None:
                yield _narrowed("boundary", policies.boundary, inquiry)
            if policies.session is not None:
                yield _narrowed("session", policies.session, inquiry)
        for level, attached in enumerate(policies.scp or ()):
            yield _narrowed("scp", attached, inquiry, level=level)
    for level, attached in enumerate(policies.rcp or ()):
        yield _narrowed("rcp", attached, inquiry, by_principal=True, level=level)


def _narrowed(
    name: SetName, attached: Sequence[Named], inquiry: Inquiry, *, by_principal: bool = False, level: int = 0
) -> _Set:
    policies = []
    for policy in attached:
        statements = policy.document.statements
        findings = [statement.meet(inquiry, by_principal=by_principal) for statement in statements]
        hanging = [each.index for each in statements if findings[each.index].matched and each.hangs]
        policies.append(_Narrowed(policy, tuple(findings), tuple(hanging)))
    return _Set(name, tuple(policies), by_principal, level)


def _set_trace(one: _Set, rest: Iterator[Finding]) -> SetTrace:
    """The set's trace; the findings of its open statements are taken from `rest`."""
    traces = []
    result: Verdict = "none"
    strength = NONE
    for narrowed in one.policies:
        findings = list(narrowed.findings)
        for index in narrowed.open:
            findings[index] = next(rest)
        for finding in findings:
            if finding.matched and finding.effect == "Deny":
                result = "deny"
            elif finding.matched:
                result = "allow" if result == "none" else result
                strength = max(strength, STRENGTHS.index(finding.strength))
        policy = narrowed.policy
        traces.append(PolicyTrace(policy.name, policy.hash, tuple(findings)))
    return SetTrace(one.name, result, tuple(traces), STRENGTHS[strength], one.level)


def _explained(inquiry: Inquiry, resource: str, context: Context, one: _Set, told: SetTrace) -> SetTrace:
    """The trace of a set, with every element of its statements looked at."""
    policies = []
    for narrowed, trace in zip(one.policies, told.policies, strict=True):
        findings = tuple(
            statement.explain(inquiry, resource, context, finding, by_principal=one.by_principal)
            for statement, finding in zip(narrowed.policy.document.statements, trace.statements, strict=True)
        )
        policies.append(msgspec.structs.replace(trace, statements=findings))
    return msgspec.structs.replace(told, policies=tuple(policies))
