"""Combines the results of the policy sets as IAM does (docs/development/policy-engine.md §2.3)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from moorage.policy.engine.decision import DecidedBy, SetName, SetTrace
from moorage.policy.engine.request import Policies
from moorage.policy.matching.principal import ACCOUNT, ANY, FEDERATED, LIMITED, NONE, SERVICE, STRENGTHS, Principal

_STRENGTH: Final = {name: strength for strength, name in enumerate(STRENGTHS)}
_EXPLICIT_ORDER: Final[tuple[SetName, ...]] = ("scp", "rcp", "resource", "trust", "identity", "boundary", "session")


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """Whether the request is allowed. The other members are as in `Decision`."""

    allowed: bool
    decided_by: DecidedBy
    rule: str
    explicit: bool = False


def rule(caller: Principal, resource_account: str, policies: Policies, trace: tuple[SetTrace, ...]) -> Ruling:
    """Return the ruling on the traces of all sets that apply to this caller."""
    return (
        _explicit_deny(trace) or _missing_level(policies, trace) or _combine(caller, resource_account, policies, trace)
    )


def _explicit_deny(trace: tuple[SetTrace, ...]) -> Ruling | None:
    """Step 1. The order is that in which AWS names one cause when several sets deny (docs/development/policy-engine.md
    §7.2)."""
    denying = [one.set for one in trace if one.result == "deny"]
    if not denying:
        return None
    return Ruling(False, min(denying, key=_EXPLICIT_ORDER.index), "1-explicit-deny", explicit=True)


def _missing_level(policies: Policies, trace: tuple[SetTrace, ...]) -> Ruling | None:
    """Step 2: every level of SCPs and RCPs must allow."""
    if policies.scp is None and policies.rcp is None:
        return None
    silent = {one.set for one in trace if one.result != "allow"}
    if "scp" in silent:
        return Ruling(False, "scp", "2-no-scp-allow")
    if "rcp" in silent:
        return Ruling(False, "rcp", "2-no-rcp-allow")
    return None


def _combine(caller: Principal, resource_account: str, policies: Policies, trace: tuple[SetTrace, ...]) -> Ruling:
    """Steps 3 to 6 and A, if nothing denies explicitly."""
    kind = caller.kind
    allowing: dict[SetName, str] = {one.set: one.strength for one in trace if one.result == "allow"}
    if policies.trust is not None or kind == "web":
        return _assume_role(caller, resource_account, policies, allowing)
    grant = _STRENGTH[allowing.get("resource", "none")]
    if kind == "anonymous":
        return Ruling(grant >= ANY, "resource", "A-anonymous-grant" if grant >= ANY else "A-no-anonymous-grant")
    if kind == "service":
        allowed = grant >= ANY
        return Ruling(allowed, "resource", "4-service-grant" if allowed else "4-no-service-grant")
    same_account = caller.account == resource_account
    identity = kind == "root" or "identity" in allowing
    if not same_account:
        if grant == NONE:
            return Ruling(False, "resource", "6-no-resource-grant")
        if not identity:
            return Ruling(False, "identity", "6-no-identity-grant")
        return _denied_by_limit("6", kind, policies, allowing) or Ruling(True, "resource", "6-both-sides")
    if kind == "root":
        return Ruling(True, "root", "3-account-root")
    if grant > LIMITED:
        return Ruling(True, "resource", "5a-direct-resource-grant")
    if grant > ACCOUNT:
        return _denied_by_limit("5b", kind, policies, allowing) or Ruling(True, "resource", "5b-limited-resource-grant")
    if not identity:
        return Ruling(False, "identity", "5c-no-identity-grant")
    return _denied_by_limit("5c", kind, policies, allowing) or Ruling(True, "identity", "5c-identity-grant")


def _assume_role(
    caller: Principal, resource_account: str, policies: Policies, allowing: Mapping[SetName, str]
) -> Ruling:
    """Return whether a role may be assumed. Its trust policy must allow it (docs/development/policy-engine.md §8.2).

    A trust policy that names a caller of the same account itself needs no identity policy; one that trusts the account
    leaves it to identity policies; across accounts, both must allow it. A web identity has no identity policies.
    """
    kind = caller.kind
    grant = _STRENGTH[allowing.get("trust", "none")]
    if kind in {"web", "service", "anonymous"}:
        allowed = (kind == "web" and grant == FEDERATED) or (kind == "service" and grant in {ANY, SERVICE})
        return Ruling(allowed, "trust", "7-trusted" if allowed else "7-not-trusted")
    own_side = kind == "root" or "identity" in allowing
    if grant == NONE:
        # A missing role trusts nobody. A caller without permission gets the same reason whether or not the role exists.
        if not own_side:
            return Ruling(False, "identity", "7-no-identity-grant")
        return _denied_by_limit("7", kind, policies, allowing) or Ruling(False, "trust", "7-not-trusted")
    if caller.account == resource_account:
        if grant > LIMITED:
            return Ruling(True, "trust", "7-direct-trust")
        if grant > ACCOUNT:
            return _denied_by_limit("7", kind, policies, allowing) or Ruling(True, "trust", "7-limited-trust")
    if not own_side:
        return Ruling(False, "identity", "7-no-identity-grant")
    return _denied_by_limit("7", kind, policies, allowing) or Ruling(True, "trust", "7-trusted-and-granted")


def _denied_by_limit(step: str, kind: str, policies: Policies, allowing: Mapping[SetName, str]) -> Ruling | None:
    """Return the denial by the first limit (boundary or session policy) that does not allow the request.

    The root has neither. A federated session without a session policy has none of its user's permissions.
    """
    if kind == "root":
        return None
    if policies.boundary is not None and "boundary" not in allowing:
        return Ruling(False, "boundary", f"{step}-no-boundary-allow")
    if "session" not in allowing and (policies.session is not None or kind == "federated"):
        return Ruling(False, "session", f"{step}-no-session-allow")
    return None
