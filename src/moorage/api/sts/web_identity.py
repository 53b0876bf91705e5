"""AssumeRoleWithWebIdentity: a role for the holder of a valid token of a configured OIDC issuer. It is not signed.

The token's claims are condition keys of the decision, and of every later request of the session
(`token.actions.githubusercontent.com:repository`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access import context
from moorage.access.caller import Caller
from moorage.api.sts import role_assumption, session_response, shapes
from moorage.api.sts.role_assumption import SessionAttributes
from moorage.api.sts.service import StsCall, StsServices
from moorage.api.sts.session_parameters import check_claims, role_arn, session_policies, spelled_as_in, tags_by_key
from moorage.errors import QueryError
from moorage.identity.credentials.credentials import PolicySets
from moorage.identity.credentials.oidc import WebIdentity

_TAGS: Final = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY: Final = "https://aws.amazon.com/source_identity"


async def bearer(services: StsServices, request: shapes.AssumeRoleWithWebIdentityRequest) -> Caller:
    """Return the caller that the token vouches for, as the provider of the role's account knows it."""
    identity = await services.issuers.verify(request.web_identity_token)
    account = role_arn(request.role_arn).account
    provider = f"arn:aws:iam::{account}:oidc-provider/{identity.issuer.name}"
    principal = policy.Principal("web", "", provider, f"{provider}:{identity.audience}:{identity.subject}")
    conditions = {**identity.keys, **context.of_credential(principal, None), "aws:federatedprovider": provider}
    return Caller(principal, "web", "", PolicySets(), conditions, web=identity)


def _identity(call: StsCall) -> WebIdentity:
    identity = call.caller.web
    assert identity is not None  # noqa: S101 - `bearer` returned the caller
    return identity


class _SessionTags(msgspec.Struct):
    """The claim `https://aws.amazon.com/tags` (IAM user guide, session tags): each tag has a list of one value."""

    principal_tags: dict[str, tuple[str]] = {}
    transitive_tag_keys: tuple[str, ...] = ()


def _attributes(call: StsCall) -> SessionAttributes:
    """Return what the token asks for its session. Raises QueryError if its tags or source identity are not valid."""
    identity = _identity(call)
    try:
        claims = msgspec.convert(identity.claims.get(_TAGS, {}), _SessionTags)
        source = msgspec.convert(identity.claims.get(_SOURCE_IDENTITY), str | None)
        claimed = {key: value for key, (value,) in claims.principal_tags.items()}
        check_claims(claimed, source)
        tags = tags_by_key([shapes.Tag(key=key, value=value) for key, value in claimed.items()])
    except (msgspec.ValidationError, QueryError) as error:
        raise QueryError(
            "InvalidIdentityToken", f"The session tags or the source identity in the ID Token are not valid: {error}"
        ) from error
    keys = spelled_as_in(tags, claims.transitive_tag_keys)
    return SessionAttributes(
        tags,
        tuple(dict.fromkeys(key for key in keys if key is not None)),
        source,
        provider=call.caller.principal.arn,
        context=identity.keys,
    )


def actions(call: StsCall, _request: shapes.AssumeRoleWithWebIdentityRequest) -> Sequence[str]:
    return _attributes(call).actions("sts:AssumeRoleWithWebIdentity")


async def conditions(
    call: StsCall, request: shapes.AssumeRoleWithWebIdentityRequest
) -> dict[str, str | tuple[str, ...]]:
    return await role_assumption.conditions(call, request, _attributes(call))


async def assume_role_with_web_identity(
    call: StsCall, request: shapes.AssumeRoleWithWebIdentityRequest
) -> shapes.AssumeRoleWithWebIdentityResponse:
    identity, attributes = _identity(call), _attributes(call)
    policies = session_policies(request.policy, request.policy_arns)
    role = await role_assumption.existing_role(call, request)
    seconds = role_assumption.duration(request, role)
    session = await role_assumption.create_session(call, request, role, seconds, attributes, policies)
    return shapes.AssumeRoleWithWebIdentityResponse(
        credentials=session_response.credentials(session),
        assumed_role_user=session_response.assumed_role_user(role, request.role_session_name),
        packed_policy_size=session_response.packed_size(policies, attributes.tags),
        source_identity=attributes.source_identity,
        subject_from_web_identity_token=identity.subject,
        provider=identity.issuer.issuer,
        audience=identity.audience,
    )
