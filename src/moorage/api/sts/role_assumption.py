"""What every operation that assumes a role has: what the session is to have, what that needs, and creating it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from moorage.access.operations import tag_conditions
from moorage.api.sts import session_response
from moorage.api.sts.service import NamesRole, StsCall
from moorage.api.sts.session_parameters import SessionPolicies, role_arn
from moorage.errors import AccessDenied, QueryError
from moorage.identity.credentials.sessions import Session
from moorage.identity.principals.entity import Role

DEFAULT_SECONDS: Final = 3600


class AssumesRole(NamesRole, Protocol):
    @property
    def role_session_name(self) -> str: ...

    @property
    def duration_seconds(self) -> int | None: ...


class SessionAttributes(NamedTuple):
    """What a session is to have."""

    tags: dict[str, str]
    transitive_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    chained: bool = False
    provider: str | None = None
    """The identity provider that vouches for a web identity."""
    context: Mapping[str, str | Sequence[str]] | None = None
    """Further condition keys of every request of the session."""

    def actions(self, action: str) -> Sequence[str]:
        """Return the actions that the caller needs.

        Tags and a source identity, inherited ones too, need their own permissions (IAM user guide, session tags).
        """
        return (
            action,
            *(("sts:TagSession",) if self.tags else ()),
            *(("sts:SetSourceIdentity",) if self.source_identity is not None else ()),
        )


async def conditions(
    call: StsCall, request: AssumesRole, attributes: SessionAttributes
) -> dict[str, str | tuple[str, ...]]:
    """Return the session's name, duration, tags and source identity, and the role's tags, as condition keys."""
    found: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": request.role_session_name}
    if request.duration_seconds is not None:
        found["sts:durationseconds"] = str(request.duration_seconds)
    role = await call.services.identity.roles.by_arn(role_arn(request.role_arn).text)
    if role is not None:
        for key, value in (await call.services.identity.tags.of(role.id)).items():
            found[f"aws:resourcetag/{key.lower()}"] = value
            found[f"iam:resourcetag/{key.lower()}"] = value
    found |= tag_conditions(attributes.tags.items())
    if attributes.transitive_keys:
        found["sts:transitivetagkeys"] = attributes.transitive_keys
    if attributes.source_identity is not None:
        found["sts:sourceidentity"] = attributes.source_identity
    return found


async def existing_role(call: StsCall, request: NamesRole) -> Role:
    """Return the role, whose trust policy has allowed the caller. Raises AccessDenied if it has been deleted since."""
    arn = role_arn(request.role_arn).text
    role = await call.services.identity.roles.by_arn(arn)
    if role is None:
        raise AccessDenied(
            f"User: {call.caller.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
    return role


def duration(request: AssumesRole, role: Role) -> int:
    """Return the session's duration in seconds: an hour, or what the request asks for.

    Raises ValidationError if that is more than the role allows.
    """
    seconds = request.duration_seconds or DEFAULT_SECONDS
    if seconds > role.max_session_seconds:
        raise QueryError(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    return seconds


async def create_session(
    call: StsCall,
    request: AssumesRole,
    role: Role,
    seconds: int,
    attributes: SessionAttributes,
    policies: SessionPolicies,
) -> Session:
    return await call.services.identity.sessions.create(
        role.account,
        role.id,
        seconds,
        by=call.caller.principal.arn,
        kind="role",
        name=request.role_session_name,
        policy=policies.text,
        policy_ids=await session_response.policy_ids(call, role.account, policies),
        tags=attributes.tags,
        transitive_keys=attributes.transitive_keys,
        source_identity=attributes.source_identity,
        provider=attributes.provider,
        chained=attributes.chained,
        context=attributes.context,
    )
