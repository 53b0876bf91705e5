"""What an organisation adds to a decision: SCPs of the caller's account, RCPs of the resource's, and condition keys."""

from typing import Final

from moorage import policy
from moorage.access.context import Values
from moorage.identity.organizations import Levels, Members

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
