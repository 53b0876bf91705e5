"""The STS service: what its operations may use, and what is decided on before a role is taken on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from moorage.access.authorize import NamedResource, Resource
from moorage.analysis.why import Why
from moorage.api.aws.operation import Call, Service
from moorage.api.aws.query import Parameters
from moorage.api.sts import fields
from moorage.clock import Clock
from moorage.identity.credentials.oidc import Issuers
from moorage.identity.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class StsServices:
    """Everything an STS operation may use, as `call.services`."""

    identity: Identity
    issuers: Issuers
    why: Why
    clock: Clock


StsCall: TypeAlias = Call[StsServices]

STS: Service[StsServices] = Service("sts", "query", "2011-06-15")


async def the_role(call: StsCall, request: Parameters) -> Sequence[Resource]:
    """The role that RoleArn names, with its trust policy. One that is not there trusts nobody, and nothing tells."""
    arn = fields.role_arn(request)
    role = await call.services.identity.roles.by_arn(arn.text)
    return (NamedResource(arn.account, arn.text, "" if role is None else role.trust_hash),)


def no_resource(call: StsCall, _request: Parameters) -> Sequence[Resource]:
    return (NamedResource(call.account, "*"),)
