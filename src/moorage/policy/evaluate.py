"""The decision: every policy set is read against the request, then combined as IAM does (policy-engine.md §2.3)."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from moorage.policy.conditions import UnfitRequestError
from moorage.policy.decision import DecidedBy, Decision, PolicyTrace, SetName, SetTrace, Verdict
from moorage.policy.principal import ACCOUNT, ANY, FEDERATED, LIMITED, NONE, SERVICE, STRENGTHS, Principal
from moorage.policy.request import Named, Policies, Request
from moorage.policy.statement import Finding, Inquiry

_STRENGTH: Final = {name: strength for strength, name in enumerate(STRENGTHS)}
_KINDS: Final = ("root", "user", "role", "federated", "web", "service", "anonymous")
_WITH_IDENTITY: Final = frozenset({"root", "user", "role", "federated"})
_EXPLICIT_ORDER: Final[tuple[SetName, ...]] = ("scp", "rcp", "resource", "trust", "identity", "boundary", "session")


class _Ruling(msgspec.Struct, frozen=True, gc=False):
    allowed: bool
    decided_by: DecidedBy
    rule: str
    explicit: bool = False


def evaluate(request: Request, policies: Policies, *, detail: bool = False) -> Decision:
    """Whether `request` is allowed by `policies`, with the trace of every statement. Never raises.

    `detail` fills each finding's `detail`: the same evaluation, which then looks at every element of a statement
    rather than stopping at the first that fails. A request that cannot be read (an unknown kind of principal, a
    context value that is not text) is denied.
    """
    if not _is_fit(request):
        return Decision(request, False, False, "request", "0-unfit-request", ())
    try:
        trace = _read_all(request, policies, detail)
    except UnfitRequestError:
        return Decision(request, False, False, "request", "0-unfit-request", ())
    ruling = _explicit_deny(trace) or _missing_level(policies, trace) or _combine(request, policies, trace)
    return Decision(request, ruling.allowed, ruling.explicit, ruling.decided_by, ruling.rule, trace)


def _is_fit(request: Request) -> bool:
    context, principal = request.context, request.principal
    return (
        isinstance(request.action, str)
        and isinstance(request.resource, str)
        and isinstance(request.resource_account, str)
        and (type(context) is dict or isinstance(context, Mapping))  # the second alone takes longer than all the rest
        and isinstance(principal, Principal)
        and principal.kind in _KINDS
        and _is_hashable(principal)
    )


def _is_hashable(principal: Principal) -> bool:
    """Findings are kept by principal (`narrowing`); one with a list among its members cannot be a key."""
    try:
        hash(principal)
    except TypeError:
        return False
    return True


def _read_all(request: Request, policies: Policies, detail: bool) -> tuple[SetTrace, ...]:
    """The trace of every set that is attached and applies to this kind of caller."""
    caller = request.principal
    inquiry = Inquiry(
        caller, request.action.lower(), request.resource, request.context, policies.boundary is not None, detail
    )
    trace: list[SetTrace] = []
    if policies.resource is not None:
        trace.append(_read("resource", policies.resource, inquiry, by_principal=True))
    if policies.trust is not None:
        trace.append(_read("trust", policies.trust, inquiry, by_principal=True))
    if caller.kind in _WITH_IDENTITY:
        if caller.kind != "root":
            if policies.identity is not None:
                trace.append(_read("identity", policies.identity, inquiry))
            if policies.boundary is not None:
                trace.append(_read("boundary", policies.boundary, inquiry))
            if policies.session is not None:
                trace.append(_read("session", policies.session, inquiry))
        if policies.scp is not None:
            trace += [_read("scp", scps, inquiry, level=level) for level, scps in enumerate(policies.scp)]
    if policies.rcp is not None:
        trace += [
            _read("rcp", each, inquiry, by_principal=True, level=level) for level, each in enumerate(policies.rcp)
        ]
    return tuple(trace)


def _read(
    name: SetName, policies: Sequence[Named], inquiry: Inquiry, *, by_principal: bool = False, level: int = 0
) -> SetTrace:
    matched: list[Finding] = []
    traces = []
    for policy in policies:
        narrowing = policy.document.narrowings.of(inquiry, by_principal=by_principal)
        findings = narrowing.findings
        matched += narrowing.settled
        if narrowing.open:
            checked = list(findings)
            resource, context = inquiry.resource, inquiry.context
            for statement, met in narrowing.open:
                finding = statement.check(resource, context, met)
                if finding is met:
                    matched.append(met)
                else:
                    checked[statement.index] = finding
            findings = tuple(checked)
        if inquiry.detail:
            findings = tuple(
                statement.explain(inquiry, finding, by_principal=by_principal)
                for statement, finding in zip(policy.document.statements, findings, strict=True)
            )
        traces.append(PolicyTrace(policy.name, policy.hash, findings))
    result: Verdict = "none"
    strength = "none"
    for finding in matched:
        if finding.effect == "Deny":
            result = "deny"
        else:
            result = "allow" if result == "none" else result
            if _STRENGTH[finding.strength] > _STRENGTH[strength]:
                strength = finding.strength
    return SetTrace(name, result, tuple(traces), strength, level)


def _explicit_deny(trace: tuple[SetTrace, ...]) -> _Ruling | None:
    """Step 1. The order is that in which AWS names one cause when several deny (policy-engine.md §7.2)."""
    denying: list[SetName] = []
    for one in trace:
        if one.result == "deny":
            denying.append(one.set)  # noqa: PERF401 - almost always empty; a comprehension would cost more
    if not denying:
        return None
    return _Ruling(False, min(denying, key=_EXPLICIT_ORDER.index), "1-explicit-deny", explicit=True)


def _missing_level(policies: Policies, trace: tuple[SetTrace, ...]) -> _Ruling | None:
    """Step 2: every level of SCPs and RCPs must allow."""
    if policies.scp is None and policies.rcp is None:
        return None
    silent = {one.set for one in trace if one.result != "allow"}
    if "scp" in silent:
        return _Ruling(False, "scp", "2-no-scp-allow")
    if "rcp" in silent:
        return _Ruling(False, "rcp", "2-no-rcp-allow")
    return None


def _combine(request: Request, policies: Policies, trace: tuple[SetTrace, ...]) -> _Ruling:
    """Steps 3 to 6 and A, when nothing denies explicitly."""
    kind = request.principal.kind
    allowing: dict[SetName, str] = {one.set: one.strength for one in trace if one.result == "allow"}
    if policies.trust is not None or kind == "web":
        return _take_on(request, policies, allowing)
    grant = _STRENGTH[allowing.get("resource", "none")]
    if kind == "anonymous":
        return _Ruling(grant >= ANY, "resource", "A-anonymous-grant" if grant >= ANY else "A-no-anonymous-grant")
    if kind == "service":
        allowed = grant >= ANY
        return _Ruling(allowed, "resource", "4-service-grant" if allowed else "4-no-service-grant")
    same_account = request.principal.account == request.resource_account
    identity = kind == "root" or "identity" in allowing
    if not same_account:
        if grant == NONE:
            return _Ruling(False, "resource", "6-no-resource-grant")
        if not identity:
            return _Ruling(False, "identity", "6-no-identity-grant")
        return _stopped("6", kind, policies, allowing) or _Ruling(True, "resource", "6-both-sides")
    if kind == "root":
        return _Ruling(True, "root", "3-account-root")
    if grant > LIMITED:
        return _Ruling(True, "resource", "5a-direct-resource-grant")
    if grant > ACCOUNT:
        return _stopped("5b", kind, policies, allowing) or _Ruling(True, "resource", "5b-limited-resource-grant")
    if not identity:
        return _Ruling(False, "identity", "5c-no-identity-grant")
    return _stopped("5c", kind, policies, allowing) or _Ruling(True, "identity", "5c-identity-grant")


def _take_on(request: Request, policies: Policies, allowing: Mapping[SetName, str]) -> _Ruling:
    """Whether a role may be taken on: its trust policy must say so, whatever else does (policy-engine.md §8.2).

    Who names the caller itself in the same account needs no identity policy; who only trusts the account leaves it to
    those; across accounts both sides must agree. A web identity has no side of its own.
    """
    kind = request.principal.kind
    grant = _STRENGTH[allowing.get("trust", "none")]
    if kind in {"web", "service", "anonymous"}:
        allowed = (kind == "web" and grant == FEDERATED) or (kind == "service" and grant in {ANY, SERVICE})
        return _Ruling(allowed, "trust", "7-trusted" if allowed else "7-not-trusted")
    if grant == NONE:
        return _Ruling(False, "trust", "7-not-trusted")
    if request.principal.account == request.resource_account:
        if grant > LIMITED:
            return _Ruling(True, "trust", "7-direct-trust")
        if grant > ACCOUNT:
            return _stopped("7", kind, policies, allowing) or _Ruling(True, "trust", "7-limited-trust")
    if kind != "root" and "identity" not in allowing:
        return _Ruling(False, "identity", "7-no-identity-grant")
    return _stopped("7", kind, policies, allowing) or _Ruling(True, "trust", "7-trusted-and-granted")


def _stopped(step: str, kind: str, policies: Policies, allowing: Mapping[SetName, str]) -> _Ruling | None:
    """The denial by the first limit, boundary or session policy, that does not let the request through.

    Root has neither; a federated session without a session policy has no rights of its user's.
    """
    if kind == "root":
        return None
    if policies.boundary is not None and "boundary" not in allowing:
        return _Ruling(False, "boundary", f"{step}-no-boundary-allow")
    if "session" not in allowing and (policies.session is not None or kind == "federated"):
        return _Ruling(False, "session", f"{step}-no-session-allow")
    return None
