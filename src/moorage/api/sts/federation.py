"""GetFederationToken: a session for somebody who is not a user, with no more permissions than the caller passes on."""

from collections.abc import Sequence
from typing import Final

from moorage.access.operations import Conditions, tag_conditions
from moorage.access.resources import NamedResource, Resource
from moorage.api.sts import session_response, shapes
from moorage.api.sts.service import StsCall
from moorage.api.sts.session_parameters import session_policies, tags_by_key
from moorage.errors import AccessDenied
from moorage.identity import arns

_DEFAULT_SECONDS: Final = 43_200
_ROOT_MOST_SECONDS: Final = 3_600


def federated_user(call: StsCall, request: shapes.GetFederationTokenRequest) -> Sequence[Resource]:
    if call.caller.session is not None:
        raise AccessDenied("Cannot call GetFederationToken with session credentials")
    return (NamedResource(call.account, arns.federated_user_arn(call.account, request.name)),)


def conditions(_call: StsCall, request: shapes.GetFederationTokenRequest) -> Conditions:
    return tag_conditions(tags_by_key(request.tags).items())


def actions(_call: StsCall, request: shapes.GetFederationTokenRequest) -> Sequence[str]:
    return ("sts:GetFederationToken", *(("sts:TagSession",) if request.tags else ()))


async def get_federation_token(
    call: StsCall, request: shapes.GetFederationTokenRequest
) -> shapes.GetFederationTokenResponse:
    """Without a session policy, only a resource policy that names the federated user grants it any permission."""
    name, tags = request.name, tags_by_key(request.tags)
    policies = session_policies(request.policy, request.policy_arns)
    principal = call.caller.principal
    seconds = request.duration_seconds or _DEFAULT_SECONDS
    session = await call.services.identity.sessions.create(
        call.account,
        principal.id if principal.kind == "user" else None,
        min(seconds, _ROOT_MOST_SECONDS) if principal.kind == "root" else seconds,
        kind="federated",
        by=principal.arn,
        name=name,
        policy=policies.text,
        policy_ids=await session_response.policy_ids(call, call.account, policies),
        tags=tags,
    )
    return shapes.GetFederationTokenResponse(
        credentials=session_response.credentials(session),
        federated_user=shapes.FederatedUser(
            federated_user_id=f"{call.account}:{name}", arn=arns.federated_user_arn(call.account, name)
        ),
        packed_policy_size=session_response.packed_size(policies, tags),
    )
