"""What every way of taking on a role has: what the session shall be, what that needs, and the session that is made."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from moorage.access.operations import tag_conditions
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, session_response
from moorage.api.sts.service import StsCall
from moorage.errors import AccessDenied, QueryError
from moorage.identity.principals.entity import Role

DEFAULT_SECONDS: Final = 3600
MOST_SECONDS: Final = 43_200


class Asked(NamedTuple):
    """What a session shall be."""

    tags: dict[str, str]
    transitive_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    chained: bool = False
    provider: str | None = None
    """Of a web identity: who vouches for it."""
    context: Mapping[str, str | Sequence[str]] | None = None
    """Further condition keys of every request of the session."""

    def actions(self, action: str) -> Sequence[str]:
        """Tags and a source identity, inherited ones too, need their own permissions (IAM user guide, session tags)."""
        return (
            action,
            *(("sts:TagSession",) if self.tags else ()),
            *(("sts:SetSourceIdentity",) if self.source_identity is not None else ()),
        )


async def conditions(call: StsCall, request: Parameters, asked: Asked) -> dict[str, str | tuple[str, ...]]:
    """The session's name, duration, tags and source identity, and the role's tags."""
    found: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": fields.session_name(request)}
    given = request.integer("DurationSeconds")
    if given is not None:
        found["sts:durationseconds"] = str(given)
    role = await call.services.identity.roles.by_arn(fields.role_arn(request).text)
    if role is not None:
        for key, value in (await call.services.identity.tags.of(role.id)).items():
            found[f"aws:resourcetag/{key.lower()}"] = value
            found[f"iam:resourcetag/{key.lower()}"] = value
    found |= tag_conditions(asked.tags.items())
    if asked.transitive_keys:
        found["sts:transitivetagkeys"] = asked.transitive_keys
    if asked.source_identity is not None:
        found["sts:sourceidentity"] = asked.source_identity
    return found


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


async def session(
    call: StsCall, request: Parameters, role: Role, seconds: int, asked: Asked, policies: fields.SessionPolicies
) -> dict[str, Value]:
    """A new session with the role, and what is answered about it."""
    name = fields.session_name(request)
    new = await call.services.identity.sessions.create(
        role.account,
        role.id,
        seconds,
        by=call.caller.principal.arn,
        kind="role",
        name=name,
        policy=policies.text,
        policy_ids=await session_response.policy_ids(call, role.account, policies),
        tags=asked.tags,
        transitive_keys=asked.transitive_keys,
        source_identity=asked.source_identity,
        provider=asked.provider,
        chained=asked.chained,
        context=asked.context,
    )
    return {
        "Credentials": session_response.credentials(new),
        "AssumedRoleUser": session_response.role_user(role, name),
        "PackedPolicySize": session_response.packed_size(policies, asked.tags),
        "SourceIdentity": asked.source_identity,
    }
