"""AssumeRole: a session with the permissions of a role, for callers that its trust policy names (STS API reference)."""

from collections.abc import Sequence
from typing import Final

from moorage.access.resources import Resource
from moorage.api.sts import role_assumption, session_response, shapes
from moorage.api.sts.role_assumption import SessionAttributes
from moorage.api.sts.service import StsCall, the_role
from moorage.api.sts.session_parameters import session_policies, tags_by_key, transitive_keys
from moorage.errors import AccessDenied, QueryError

CHAINED_SECONDS: Final = 3600


def _attributes(call: StsCall, request: shapes.AssumeRoleRequest) -> SessionAttributes:
    """Return what the session is to have, including what it inherits from the session that calls.

    Raises AccessDenied if it would change the source identity, InvalidParameterValue for a tag that it inherits.
    """
    tags = tags_by_key(request.tags)
    keys = transitive_keys(request.transitive_tag_keys or (), tags)
    source = request.source_identity
    session = call.caller.session
    if session is None:
        return SessionAttributes(tags, keys, source)
    inherited = {key: session.tags[key] for key in session.transitive_keys}
    folded = {key.lower() for key in inherited}
    if any(key.lower() in folded for key in tags):
        raise QueryError(
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from"
            " the calling session.",
        )
    if session.source_identity is not None and source not in {None, session.source_identity}:
        raise AccessDenied("The source identity of a session cannot be changed")
    return SessionAttributes(
        {**tags, **inherited},
        (*keys, *inherited),
        source or session.source_identity,
        chained=call.caller.credential == "role",
    )


def actions(call: StsCall, request: shapes.AssumeRoleRequest) -> Sequence[str]:
    return _attributes(call, request).actions("sts:AssumeRole")


async def the_role_to_assume(call: StsCall, request: shapes.AssumeRoleRequest) -> Sequence[Resource]:
    """Return the role. Raises AccessDenied for callers that can assume none."""
    caller = call.caller
    if caller.principal.kind == "root" and caller.verified:
        # An unverified key of dev mode is a root too, but the only caller that many who try Moorage have.
        raise AccessDenied("Roles may not be assumed by root accounts.")
    if caller.credential == "federated":
        raise AccessDenied("Cannot call AssumeRole with federation credentials")
    return await the_role(call, request)


async def conditions(call: StsCall, request: shapes.AssumeRoleRequest) -> dict[str, str | tuple[str, ...]]:
    found = await role_assumption.conditions(call, request, _attributes(call, request))
    if request.external_id is not None:
        found["sts:externalid"] = request.external_id
    return found


async def assume_role(call: StsCall, request: shapes.AssumeRoleRequest) -> shapes.AssumeRoleResponse:
    attributes, policies = _attributes(call, request), session_policies(request.policy, request.policy_arns)
    role = await role_assumption.existing_role(call, request)
    seconds = role_assumption.duration(request, role)
    if attributes.chained:
        if request.duration_seconds is not None and seconds > CHAINED_SECONDS:
            raise QueryError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        seconds = min(seconds, CHAINED_SECONDS)
    session = await role_assumption.create_session(call, request, role, seconds, attributes, policies)
    return shapes.AssumeRoleResponse(
        credentials=session_response.credentials(session),
        assumed_role_user=session_response.assumed_role_user(role, request.role_session_name),
        packed_policy_size=session_response.packed_size(policies, attributes.tags),
        source_identity=attributes.source_identity,
    )
