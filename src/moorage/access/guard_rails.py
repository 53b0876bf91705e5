"""What an organisation adds to a decision: SCPs of the caller's account, RCPs of the resource's, and condition keys."""

import hashlib
from collections.abc import Iterable
from typing import Final

from moorage import policy
from moorage.access.context import Values
from moorage.identity.organizations import FULL_ACCESS_TEXT, RCP_FULL_ACCESS_TEXT, Levels, Members, Membership

_UNDER_RCP: Final = ("ecr:", "sts:")
"""Services whose resources RCPs guard [aws: of the services there are here]."""
_SERVICE_LINKED: Final = ":role/aws-service-role/"
_OUTSIDE: Final = frozenset({"anonymous", "service", "web"})
"""Kinds of callers that are no member account's."""


def scp(members: Members, principal: policy.Principal) -> Levels | None:
    """The levels of SCPs that bind the caller: not the management account's, nor a service-linked role."""
    member = None if principal.kind in _OUTSIDE else members.get(principal.account)
    if member is None or _SERVICE_LINKED in (principal.role_arn or ""):
        return None
    return member.scp


def rcp(members: Members, account: str, action: str) -> Levels | None:
    """The levels of RCPs on what the account has; of services that know none, none."""
    member = members.get(account)
    if member is None or not action.startswith(_UNDER_RCP):
        return None
    return member.rcp


def restricting(members: Iterable[Membership]) -> frozenset[policy.SetName]:
    """The kinds of guard rails by which one of them may do less than another: those beside FullAWSAccess."""
    found: set[policy.SetName] = set()
    for member in members:
        found |= {"scp"} if _restricts(member.scp, FULL_ACCESS_TEXT) else set()
        found |= {"rcp"} if _restricts(member.rcp, RCP_FULL_ACCESS_TEXT) else set()
    return frozenset(found)


def _restricts(levels: Levels | None, full_access: str) -> bool:
    name = hashlib.sha256(full_access.encode()).hexdigest()
    return any(rail.hash != name for level in levels or () for rail in level)


def keys(members: Members, principal: policy.Principal, account: str) -> Values:
    """The condition keys of the caller's and the resource's place in the organisation."""
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
