"""AssumeRole: a session with the rights of a role, for whoever its trust policy names (STS API reference)."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from moorage.access.authorize import Resource
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, made
from moorage.api.sts.service import STS, StsCall, the_role
from moorage.errors import AccessDenied, QueryError
from moorage.identity.entity import Role

DEFAULT_SECONDS: Final = 3600
MOST_SECONDS: Final = 43_200
CHAINED_SECONDS: Final = 3600


class Asked(NamedTuple):
    """What the session shall be, with what it inherits from the session that asks."""

    tags: dict[str, str]
    transitive_keys: tuple[str, ...]
    source_identity: str | None
    chained: bool


def asked(call: StsCall, request: Parameters) -> Asked:
    """AccessDenied when it would change the source identity; InvalidParameterValue for an inherited tag given anew."""
    tags = fields.tags(request)
    keys = fields.transitive_keys(request, tags)
    source = fields.source_identity(request)
    session = call.caller.session
    if session is None:
        return Asked(tags, keys, source, chained=False)
    inherited = {key: session.tags[key] for key in session.transitive_keys}
    folded = {key.lower() for key in inherited}
    for key in tags:
        if key.lower() in folded:
            raise QueryError("InvalidParameterValue", f"The tag {key} is transitive and cannot be given anew")
    if session.source_identity is not None and source not in {None, session.source_identity}:
        raise AccessDenied("The source identity of a session cannot be changed")
    return Asked(
        {**tags, **inherited},
        (*keys, *inherited),
        source or session.source_identity,
        chained=call.caller.credential == "role",
    )


def _actions(call: StsCall, request: Parameters) -> Sequence[str]:
    """Tags and a source identity, inherited ones too, need their own permissions (IAM user guide, session tags)."""
    what = asked(call, request)
    return (
        "sts:AssumeRole",
        *(("sts:TagSession",) if what.tags else ()),
        *(("sts:SetSourceIdentity",) if what.source_identity is not None else ()),
    )


async def _role(call: StsCall, request: Parameters) -> Sequence[Resource]:
    caller = call.caller
    if caller.principal.kind == "root" and caller.verified:
        # An open key of dev mode is a root too, but the only caller that many who try things out have.
        raise AccessDenied("Roles may not be assumed by root accounts.")
    if caller.credential == "federated":
        raise AccessDenied("Cannot call AssumeRole with federation credentials")
    return await the_role(call, request)


async def _conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    what = asked(call, request)
    found = await role_conditions(call, request)
    for key, value in what.tags.items():
        found[f"aws:requesttag/{key.lower()}"] = value
    if what.tags:
        found["aws:tagkeys"] = tuple(what.tags)
    if what.transitive_keys:
        found["sts:transitivetagkeys"] = what.transitive_keys
    if what.source_identity is not None:
        found["sts:sourceidentity"] = what.source_identity
    external_id = fields.external_id(request)
    if external_id is not None:
        found["sts:externalid"] = external_id
    return found


async def role_conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    """What every way of taking a role on has: session name, duration, and the role's tags."""
    found: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": fields.session_name(request)}
    given = request.integer("DurationSeconds")
    if given is not None:
        found["sts:durationseconds"] = str(given)
    role = await call.services.identity.roles.by_arn(fields.role_arn(request).text)
    if role is not None:
        for key, value in (await call.services.identity.tags.of(role.id)).items():
            found[f"aws:resourcetag/{key.lower()}"] = value
            found[f"iam:resourcetag/{key.lower()}"] = value
    return found


@STS.operation("AssumeRole", action=_actions, resource=_role, conditions=_conditions)
async def assume_role(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    what, name, policies = asked(call, request), fields.session_name(request), fields.session_policies(request)
    role = await trusting(call, request)
    seconds = duration(request, role)
    if what.chained and request.integer("DurationSeconds") is not None and seconds > CHAINED_SECONDS:
        raise QueryError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    session = await call.services.identity.sessions.create(
        role.account,
        role.id,
        min(seconds, CHAINED_SECONDS) if what.chained else seconds,
        kind="role",
        name=name,
        policy=policies.text,
        policy_ids=await made.policy_ids(call, role.account, policies),
        tags=what.tags,
        transitive_keys=what.transitive_keys,
        source_identity=what.source_identity,
        chained=what.chained,
    )
    return {
        "Credentials": made.credentials(session),
        "AssumedRoleUser": made.role_user(role, name),
        "PackedPolicySize": made.packed_size(policies, what.tags),
        "SourceIdentity": what.source_identity,
    }


async def trusting(call: StsCall, request: Parameters) -> Role:
    """The role, which trusted the caller a moment ago."""
    arn = fields.role_arn(request).text
    role = await call.services.identity.roles.by_arn(arn)
    if role is None:
        raise AccessDenied(
            f"User: {call.caller.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
    return role


def duration(request: Parameters, role: Role) -> int:
    """How long the session lasts: an hour, or what is asked for within what the role allows."""
    seconds = fields.seconds(request, DEFAULT_SECONDS, MOST_SECONDS)
    if seconds > role.max_session_seconds:
        raise QueryError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return seconds
