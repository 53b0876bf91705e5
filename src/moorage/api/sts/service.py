"""The STS service: what its operations may use, and what assuming a role is decided on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from moorage.access.resources import NamedResource, Resource
from moorage.analysis.explainer import Explainer
from moorage.api.aws.operation import Call
from moorage.api.sts.session_parameters import role_arn
from moorage.clock import Clock
from moorage.identity.credentials.oidc import Issuers
from moorage.identity.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class StsServices:
    """Everything an STS operation may use, as `call.services`."""

    identity: Identity
    issuers: Issuers
    explainer: Explainer
    clock: Clock


StsCall: TypeAlias = Call[StsServices]


class NamesRole(Protocol):
    @property
    def role_arn(self) -> str: ...


async def the_role(call: StsCall, request: NamesRole) -> Sequence[Resource]:
    """Return the role that RoleArn names, with its trust policy.

    A role that does not exist trusts nobody, so that a denial does not tell whether it exists.
    """
    arn = role_arn(request.role_arn)
    role = await call.services.identity.roles.by_arn(arn.text)
    return (NamedResource(arn.account, arn.text, "" if role is None else role.trust_hash),)


def no_resource(call: StsCall, _request: Any) -> Sequence[Resource]:
    """`*`: for `resource` of an operation's declaration."""
    return (NamedResource(call.account, "*"),)
