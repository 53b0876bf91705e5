"""AssumeRole: a session with the rights of a role, for whoever its trust policy names (STS API reference)."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.authorize import Resource
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, role_assumption
from moorage.api.sts.role_assumption import Asked
from moorage.api.sts.service import STS, StsCall, the_role
from moorage.errors import AccessDenied, QueryError

CHAINED_SECONDS: Final = 3600


def _asked(call: StsCall, request: Parameters) -> Asked:
    """What the session shall be, with what it inherits from the session that asks.

    Raises AccessDenied when it would change the source identity, InvalidParameterValue for a tag that it inherits.
    """
    tags = fields.tags(request)
    keys = fields.transitive_keys(request, tags)
    source = fields.source_identity(request)
    session = call.caller.session
    if session is None:
        return Asked(tags, keys, source)
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
    return Asked(
        {**tags, **inherited},
        (*keys, *inherited),
        source or session.source_identity,
        chained=call.caller.credential == "role",
    )


def _actions(call: StsCall, request: Parameters) -> Sequence[str]:
    return _asked(call, request).actions("sts:AssumeRole")


async def _role(call: StsCall, request: Parameters) -> Sequence[Resource]:
    caller = call.caller
    if caller.principal.kind == "root" and caller.verified:
        # An open key of dev mode is a root too, but the only caller that many who try things out have.
        raise AccessDenied("Roles may not be assumed by root accounts.")
    if caller.credential == "federated":
        raise AccessDenied("Cannot call AssumeRole with federation credentials")
    return await the_role(call, request)


async def _conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    found = await role_assumption.conditions(call, request, _asked(call, request))
    external_id = fields.external_id(request)
    if external_id is not None:
        found["sts:externalid"] = external_id
    return found


@STS.operation("AssumeRole", action=_actions, resource=_role, conditions=_conditions)
async def assume_role(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    asked, policies = _asked(call, request), fields.session_policies(request, fields.ANY_POLICY)
    role = await role_assumption.trusting(call, request)
    seconds = role_assumption.duration(request, role)
    if asked.chained:
        if request.integer("DurationSeconds") is not None and seconds > CHAINED_SECONDS:
            raise QueryError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        seconds = min(seconds, CHAINED_SECONDS)
    return await role_assumption.session(call, request, role, seconds, asked, policies)
