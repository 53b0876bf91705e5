"""AssumeRoleWithWebIdentity: a role for whoever holds a good token of a configured OIDC issuer. Nobody signs it.

The token's claims are condition keys of the decision, and of every later request of the session
(`token.actions.githubusercontent.com:repository`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage import policy
from moorage.access import context
from moorage.access.caller import Caller
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, made
from moorage.api.sts.assume_role import duration, role_conditions, trusting
from moorage.api.sts.service import STS, StsCall, StsServices, the_role
from moorage.errors import QueryError
from moorage.identity.credentials import PolicySets
from moorage.identity.oidc import WebIdentity

_TAGS: Final = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY: Final = "https://aws.amazon.com/source_identity"


async def _bearer(services: StsServices, request: Parameters) -> Caller:
    """Whom the token vouches for, as the provider of the role's account knows them."""
    identity = await services.issuers.verify(fields.token(request))
    account = fields.role_arn(request).account
    provider = f"arn:aws:iam::{account}:oidc-provider/{identity.issuer.name}"
    principal = policy.Principal("web", "", provider, f"{provider}:{identity.audience}:{identity.subject}")
    conditions = {**identity.conditions(), **context.of_credential(principal, None), "aws:federatedprovider": provider}
    return Caller(principal, "web", "", PolicySets(), conditions, web=identity)


def _identity(call: StsCall) -> WebIdentity:
    identity = call.caller.web
    assert identity is not None  # noqa: S101 - `_bearer` made the caller
    return identity


def _tags(identity: WebIdentity) -> tuple[dict[str, str], tuple[str, ...]]:
    """Session tags that the token itself carries, and which of them are transitive (IAM user guide, session tags)."""
    said = identity.claims.get(_TAGS, {})
    try:
        tags = {str(key): str(values[0]) for key, values in said.get("principal_tags", {}).items()}
        keys = tuple(str(key) for key in said.get("transitive_tag_keys", ()))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise QueryError("InvalidIdentityToken", "The session tags in the ID Token cannot be read") from error
    if len(tags) > fields.MOST_TAGS or any(len(key) > 128 or len(value) > 256 for key, value in tags.items()):
        raise QueryError("InvalidIdentityToken", "The session tags in the ID Token are too many or too long")
    return tags, tuple(key for key in keys if key in tags)


def _source_identity(identity: WebIdentity) -> str | None:
    said = identity.claims.get(_SOURCE_IDENTITY)
    return said if isinstance(said, str) else None


def _actions(call: StsCall, request: Parameters) -> Sequence[str]:
    identity = _identity(call)
    return (
        "sts:AssumeRoleWithWebIdentity",
        *(("sts:TagSession",) if _tags(identity)[0] else ()),
        *(("sts:SetSourceIdentity",) if _source_identity(identity) is not None else ()),
    )


async def _conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    identity = _identity(call)
    found = await role_conditions(call, request)
    tags, transitive = _tags(identity)
    for key, value in tags.items():
        found[f"aws:requesttag/{key.lower()}"] = value
    if tags:
        found["aws:tagkeys"] = tuple(tags)
    if transitive:
        found["sts:transitivetagkeys"] = transitive
    source = _source_identity(identity)
    if source is not None:
        found["sts:sourceidentity"] = source
    return found


@STS.operation(
    "AssumeRoleWithWebIdentity", action=_actions, resource=the_role, conditions=_conditions, authenticate=_bearer
)
async def assume_role_with_web_identity(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    identity, name, policies = _identity(call), fields.session_name(request), fields.session_policies(request)
    role = await trusting(call, request)
    tags, transitive = _tags(identity)
    session = await call.services.identity.sessions.create(
        role.account,
        role.id,
        duration(request, role),
        kind="role",
        name=name,
        policy=policies.text,
        policy_ids=await made.policy_ids(call, role.account, policies),
        tags=tags,
        transitive_keys=transitive,
        source_identity=_source_identity(identity),
        provider=call.caller.principal.arn,
        context=identity.conditions(),
    )
    return {
        "Credentials": made.credentials(session),
        "SubjectFromWebIdentityToken": identity.subject,
        "AssumedRoleUser": made.role_user(role, name),
        "PackedPolicySize": made.packed_size(policies, tags),
        "Provider": identity.issuer.issuer,
        "Audience": identity.audience,
        "SourceIdentity": _source_identity(identity),
    }
