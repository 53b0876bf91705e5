"""What STS's responses say about a new session, and the managed policies that limit it."""

import math
from collections.abc import Mapping, Sequence

from moorage.api.aws.xml import timestamp
from moorage.api.sts import shapes
from moorage.api.sts.service import StsCall
from moorage.api.sts.session_parameters import SessionPolicies
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.identity.credentials.sessions import Session
from moorage.identity.principals.entity import Role
from moorage.names import AccountId

_TAG_CHARACTERS = 50 * (128 + 256)


def credentials(session: Session) -> shapes.Credentials:
    return shapes.Credentials(
        access_key_id=session.id,
        secret_access_key=session.secret,
        session_token=session.token,
        expiration=timestamp(session.expires_at),
    )


def assumed_role_user(role: Role, session_name: str) -> shapes.AssumedRoleUser:
    return shapes.AssumedRoleUser(
        assumed_role_id=f"{role.id}:{session_name}",
        arn=arns.role_session_arn(role.account, role.name, session_name),
    )


def packed_size(policies: SessionPolicies, tags: Mapping[str, str]) -> int | None:
    """Return the share of the available space that policies or tags take, whichever is larger, in percent.

    None if the request has neither. [guess] AWS packs them in a form that it does not publish.
    """
    if policies.text is None and policies.arns is None and not tags:
        return None
    tagged = math.ceil(100 * sum(len(key) + len(value) for key, value in tags.items()) / _TAG_CHARACTERS)
    return max(policies.packed, tagged)


async def policy_ids(call: StsCall, account: AccountId, policies: SessionPolicies) -> Sequence[str] | None:
    """Return the ids of the managed policies in PolicyArns; None without PolicyArns.

    Raises ValidationError for a policy that is not one of the session's account or of AWS.
    """
    if policies.arns is None:
        return None
    found = []
    for arn in policies.arns:
        managed = await call.services.identity.managed.find(account, arn)
        if managed is None:
            # [guess] the wording of AttachRolePolicy's refusal
            raise QueryError("ValidationError", f"Policy {arn} does not exist or is not attachable.")
        found.append(managed.id)
    return found
