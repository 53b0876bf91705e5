"""Policy sets, narrowed down to what a caller's requests for an action leave open, and what comes of that."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from moorage.policy.engine.decision import PolicyTrace, SetName, SetTrace, Verdict
from moorage.policy.engine.request import Named, Policies
from moorage.policy.matching.principal import NONE, STRENGTHS
from moorage.policy.matching.statement import Finding, Inquiry, Statement
from moorage.policy.matching.variables import Context

_WITH_IDENTITY: Final = frozenset({"root", "user", "role", "federated"})


class _Narrowed(msgspec.Struct, frozen=True, gc=False):
    """A policy, narrowed down to a caller and an action."""

    policy: Named
    findings: tuple[Finding, ...]
    """Of each statement in order."""
    open: tuple[int, ...]
    """Which of them hang on more than caller and action: they match so far, and may still fail."""


class NarrowedSet(msgspec.Struct, frozen=True, gc=False):
    """A policy set, narrowed down."""

    name: SetName
    policies: tuple[_Narrowed, ...]
    by_principal: bool
    level: int

    def open(self) -> Iterator[tuple[Statement, Finding]]:
        """The statements that may still fail, in order, each with the match found so far."""
        for narrowed in self.policies:
            for index in narrowed.open:
                yield narrowed.policy.document.statements[index], narrowed.findings[index]

    def trace(self, rest: Iterator[Finding]) -> SetTrace:
        """What the set says; the findings of its open statements are taken from `rest`."""
        traces = []
        result: Verdict = "none"
        strength = NONE
        for narrowed in self.policies:
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
        return SetTrace(self.name, result, tuple(traces), STRENGTHS[strength], self.level)

    def explained(self, inquiry: Inquiry, resource: str, context: Context, told: SetTrace) -> SetTrace:
        """`told`, the trace, with every element of its statements looked at."""
        policies = []
        for narrowed, trace in zip(self.policies, told.policies, strict=True):
            findings = tuple(
                statement.explain(inquiry, resource, context, finding, by_principal=self.by_principal)
                for statement, finding in zip(narrowed.policy.document.statements, trace.statements, strict=True)
            )
            policies.append(msgspec.structs.replace(trace, statements=findings))
        return msgspec.structs.replace(told, policies=tuple(policies))


def narrowed_sets(inquiry: Inquiry, policies: Policies) -> Iterator[NarrowedSet]:
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
) -> NarrowedSet:
    policies = []
    for policy in attached:
        statements = policy.document.statements
        findings = [statement.meet(inquiry, by_principal=by_principal) for statement in statements]
        hanging = [each.index for each in statements if findings[each.index].matched and each.hangs]
        policies.append(_Narrowed(policy, tuple(findings), tuple(hanging)))
    return NarrowedSet(name, tuple(policies), by_principal, level)
