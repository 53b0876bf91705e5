"""GetFederationToken: a session for somebody who is no user here, with no more rights than its maker hands on."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.authorize import NamedResource, Resource
from moorage.access.operations import Conditions, tag_conditions
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, session_response
from moorage.api.sts.service import STS, StsCall
from moorage.errors import AccessDenied
from moorage.identity import arns

_DEFAULT: Final = 43_200
_MOST: Final = 129_600
_ROOT_MOST: Final = 3_600


def _federated_user(call: StsCall, request: Parameters) -> Sequence[Resource]:
    if call.caller.session is not None:
        raise AccessDenied("Cannot call GetFederationToken with session credentials")
    return (NamedResource(call.account, arns.federated_user_arn(call.account, fields.user_name(request))),)


def _conditions(_call: StsCall, request: Parameters) -> Conditions:
    return tag_conditions(fields.tags(request).items())


def _actions(_call: StsCall, request: Parameters) -> Sequence[str]:
    return ("sts:GetFederationToken", *(("sts:TagSession",) if fields.tags(request) else ()))


@STS.operation("GetFederationToken", action=_actions, resource=_federated_user, conditions=_conditions)
async def get_federation_token(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    """Without a session policy only a resource policy that names the federated user gives it any right."""
    name, policies, tags = fields.user_name(request), fields.session_policies(request), fields.tags(request)
    principal = call.caller.principal
    seconds = fields.seconds(request, _DEFAULT, _MOST)
    session = await call.services.identity.sessions.create(
        call.account,
        principal.id if principal.kind == "user" else None,
        min(seconds, _ROOT_MOST) if principal.kind == "root" else seconds,
        by=principal.arn,
        kind="federated",
        name=name,
        policy=policies.text,
        policy_ids=await session_response.policy_ids(call, call.account, policies),
        tags=tags,
    )
    return {
        "Credentials": session_response.credentials(session),
        "FederatedUser": {
            "FederatedUserId": f"{call.account}:{name}",
            "Arn": arns.federated_user_arn(call.account, name),
        },
        "PackedPolicySize": session_response.packed_size(policies, tags),
    }
