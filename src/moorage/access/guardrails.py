"""What an organization adds to a decision: SCPs of the caller's account, RCPs of the owner's, and condition keys."""

import hashlib
from collections.abc import Iterable
from typing import Final

from moorage import policy
from moorage.access.context import Values
from moorage.identity.accounts.organizations import FULL_ACCESS_TEXT, RCP_FULL_ACCESS_TEXT, Levels, Members, Membership

_STS: Final = "sts:"
_OUTSIDE: Final = frozenset({"anonymous", "service", "web"})
"""Kinds of callers that belong to no member account."""


def scp(members: Members, principal: policy.Principal) -> Levels | None:
    """Return the levels of SCPs that apply to the caller, for every action of every service.

    None for callers of the management account, of accounts outside the organization, and for service-linked roles.
    """
    member = None if principal.kind in _OUTSIDE else members.get(principal.account)
    if member is None or principal.service_linked:
        return None
    return member.scp


def rcp(members: Members, account: str, action: str, *, in_registry: bool) -> Levels | None:
    """Return the levels of RCPs that apply to resources of `account`; None if there are none.

    RCPs apply to registries and their repositories (`in_registry`) for every action of ECR and Moorage, and to roles
    for those of STS [aws: of the services that AWS lists, these two are here].
    """
    member = members.get(account)
    if member is None or not (in_registry or action.startswith(_STS)):
        return None
    return member.rcp


def restricting(members: Iterable[Membership]) -> frozenset[policy.SetName]:
    """Return the kinds of guardrails that restrict any of the members: those other than FullAWSAccess."""
    found: set[policy.SetName] = set()
    for member in members:
        found |= {"scp"} if _restricts(member.scp, FULL_ACCESS_TEXT) else set()
        found |= {"rcp"} if _restricts(member.rcp, RCP_FULL_ACCESS_TEXT) else set()
    return frozenset(found)


def _restricts(levels: Levels | None, full_access: str) -> bool:
    name = hashlib.sha256(full_access.encode()).hexdigest()
    return any(rail.hash != name for level in levels or () for rail in level)


def keys(members: Members, principal: policy.Principal, account: str) -> Values:
    """Return the condition keys for the places of the caller and the resource in the organization."""
    values: Values = {}
    theirs = None if principal.kind in _OUTSIDE else members.get(principal.account)
    if theirs is not None:
        values["aws:principalorgid"] = theirs.organization
        values["aws:principalorgpaths"] = (theirs.path,)
    owner = members.get(account)
    if owner is not None:
        values["aws:resourceorgid"] = owner.organization
        values["aws:resourceorgpaths"] = (owner.path,)
    return values
