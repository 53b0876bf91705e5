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
from moorage.api.sts import fields, taking_on
from moorage.api.sts.service import STS, StsCall, StsServices, the_role
from moorage.api.sts.taking_on import Asked
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


def _asked(call: StsCall) -> Asked:
    identity = _identity(call)
    tags, transitive = _tags(identity)
    source = identity.claims.get(_SOURCE_IDENTITY)
    return Asked(
        tags,
        transitive,
        source if isinstance(source, str) else None,
        provider=call.caller.principal.arn,
        context=identity.conditions(),
    )


def _actions(call: StsCall, request: Parameters) -> Sequence[str]:
    return _asked(call).actions("sts:AssumeRoleWithWebIdentity")


async def _conditions(call: StsCall, request: Parameters) -> dict[str, str | tuple[str, ...]]:
    return await taking_on.conditions(call, request, _asked(call))


@STS.operation(
    "AssumeRoleWithWebIdentity", action=_actions, resource=the_role, conditions=_conditions, authenticate=_bearer
)
async def assume_role_with_web_identity(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    identity, policies = _identity(call), fields.session_policies(request)
    role = await taking_on.trusting(call, request)
    seconds = taking_on.duration(request, role)
    answer = await taking_on.session(call, request, role, seconds, _asked(call), policies)
    return answer | {
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": identity.issuer.issuer,
        "Audience": identity.audience,
    }
