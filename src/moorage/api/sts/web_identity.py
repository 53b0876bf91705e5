"""AssumeRoleWithWebIdentity: a role for whoever holds a good token of a configured OIDC issuer. Nobody signs it.

The token's claims are condition keys of the decision, and of every later request of the session
(`token.actions.githubusercontent.com:repository`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access import context
from moorage.access.caller import Caller
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, role_assumption
from moorage.api.sts.role_assumption import Asked
from moorage.api.sts.service import STS, StsCall, StsServices, the_role
from moorage.errors import QueryError
from moorage.identity.credentials.credentials import PolicySets
from moorage.identity.credentials.oidc import WebIdentity

_TAGS: Final = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY: Final = "https://aws.amazon.com/source_identity"


async def _bearer(services: StsServices, request: Parameters) -> Caller:
    """Whom the token vouches for, as the provider of the role's account knows them."""
    identity = await services.issuers.verify(fields.token(request))
    account = fields.role_arn(request).account
    provider = f"arn:aws:iam::{account}:oidc-provider/{identity.issuer.name}"
    principal = policy.Principal("web", "", provider, f"{provider}:{identity.audience}:{identity.subject}")
    conditions = {**identity.keys, **context.of_credential(principal, None), "aws:federatedprovider": provider}
    return Caller(principal, "web", "", PolicySets(), conditions, web=identity)


def _identity(call: StsCall) -> WebIdentity:
    identity = call.caller.web
    assert identity is not None  # noqa: S101 - `_bearer` made the caller
    return identity


class _SessionTags(msgspec.Struct):
    """The claim `https://aws.amazon.com/tags` (IAM user guide, session tags): each tag has a list of one value."""

    principal_tags: dict[str, tuple[str]] = {}
    transitive_tag_keys: tuple[str, ...] = ()


def _asked(call: StsCall) -> Asked:
    """Return the session that the token asks for. Raises QueryError when its tags or source identity are not valid."""
    identity = _identity(call)
    try:
        wanted = msgspec.convert(identity.claims.get(_TAGS, {}), _SessionTags)
        source = msgspec.convert(identity.claims.get(_SOURCE_IDENTITY), str | None)
        if source is not None:
            fields.checked_source_identity(source)
        tags = fields.checked_tags([(key, value) for key, (value,) in wanted.principal_tags.items()])
    except (msgspec.ValidationError, QueryError) as error:
        raise QueryError(
            "InvalidIdentityToken", f"The session tags or the source identity in the ID Token are not valid: {error}"
        ) from error
    return Asked(
        tags,
        tuple(dict.fromkeys(key for key in fields.known_keys(wanted.transitive_tag_keys, tags) if key is not None)),
        source,
        provider=call.caller.principal.arn,
        context=identity.keys,
    )


def _actions(call: StsCall, _request: Parameters) -> Sequence[str]:
    return _asked(call).actions("sts:AssumeRoleWithWebIdentity")


async def _conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    return await role_assumption.conditions(call, request, _asked(call))


@STS.operation(
    "AssumeRoleWithWebIdentity", action=_actions, resource=the_role, conditions=_conditions, authenticate=_bearer
)
async def assume_role_with_web_identity(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    identity, policies = _identity(call), fields.session_policies(request)
    role = await role_assumption.trusting(call, request)
    seconds = role_assumption.duration(request, role)
    answer = await role_assumption.session(call, request, role, seconds, _asked(call), policies)
    return answer | {
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": identity.issuer.issuer,
        "Audience": identity.audience,
    }
