"""Residual policies: policy sets specialized for a caller and an action, with the open statements left to check."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from moorage.policy.engine.decision import PolicyTrace, SetName, SetTrace, Verdict
from moorage.policy.engine.request import Named, Policies
from moorage.policy.matching.principal import NONE, STRENGTHS
from moorage.policy.matching.statement import Finding, Inquiry, Statement
from moorage.policy.matching.variables import Context

_WITH_IDENTITY: Final = frozenset({"root", "user", "role", "federated"})


class _Residual(msgspec.Struct, frozen=True, gc=False):
    """A policy specialized for a caller and an action."""

    policy: Named
    findings: tuple[Finding, ...]
    """The finding of each statement, in order."""
    open: tuple[int, ...]
    """The statements that depend on more than caller and action: they match so far, and may still fail."""


class ResidualSet(msgspec.Struct, frozen=True, gc=False):
    """A specialized policy set."""

    name: SetName
    policies: tuple[_Residual, ...]
    by_principal: bool
    level: int

    def open(self) -> Iterator[tuple[Statement, Finding]]:
        """The statements that may still fail, in order, each with the match found so far."""
        for narrowed in self.policies:
            for index in narrowed.open:
                yield narrowed.policy.document.statements[index], narrowed.findings[index]

    def trace(self, rest: Iterator[Finding]) -> SetTrace:
        """Return the trace of the set. The findings of its open statements are taken from `rest`."""
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
        """Return the trace with the details of every element of its statements."""
        policies = []
        for narrowed, trace in zip(self.policies, told.policies, strict=True):
            findings = tuple(
                statement.explain(inquiry, resource, context, finding, by_principal=self.by_principal)
                for statement, finding in zip(narrowed.policy.document.statements, trace.statements, strict=True)
            )
            policies.append(msgspec.structs.replace(trace, statements=findings))
        return msgspec.structs.replace(told, policies=tuple(policies))


def residual_sets(inquiry: Inquiry, policies: Policies) -> Iterator[ResidualSet]:
    """Return every set that is attached and applies to this kind of caller, specialized."""
    kind = inquiry.caller.kind
    if policies.resource is not None:
        yield _residual("resource", policies.resource, inquiry, by_principal=True)
    if policies.trust is not None:
        yield _residual("trust", policies.trust, inquiry, by_principal=True)
    if kind in _WITH_IDENTITY:
        if kind != "root":
            if policies.identity is not None:
                yield _residual("identity", policies.identity, inquiry)
            if policies.boundary is not None:
                yield _residual("boundary", policies.boundary, inquiry)
            if policies.session is not None:
                yield _residual("session", policies.session, inquiry)
        for level, attached in enumerate(policies.scp or ()):
            yield _residual("scp", attached, inquiry, level=level)
    for level, attached in enumerate(policies.rcp or ()):
        yield _residual("rcp", attached, inquiry, by_principal=True, level=level)


def _residual(
    name: SetName, attached: Sequence[Named], inquiry: Inquiry, *, by_principal: bool = False, level: int = 0
) -> ResidualSet:
    policies = []
    for policy in attached:
        statements = policy.document.statements
        findings = [statement.match_caller(inquiry, by_principal=by_principal) for statement in statements]
        hanging = [each.index for each in statements if findings[each.index].matched and each.depends_on_request]
        policies.append(_Residual(policy, tuple(findings), tuple(hanging)))
    return ResidualSet(name, tuple(policies), by_principal, level)
