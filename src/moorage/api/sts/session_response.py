"""What STS answers about a session it made, and the managed policies that shall limit it."""

import math
from collections.abc import Mapping, Sequence

from moorage.api.aws.query import Value, instant
from moorage.api.sts import fields
from moorage.api.sts.service import StsCall
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.identity.credentials.sessions import Session
from moorage.identity.principals.entity import Role
from moorage.names import AccountId

_TAG_CHARACTERS = 50 * (128 + 256)


def credentials(session: Session) -> Mapping[str, Value]:
    return {
        "AccessKeyId": session.id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": instant(session.expires_at),
    }


def role_user(role: Role, name: str) -> Mapping[str, Value]:
    return {
        "AssumedRoleId": f"{role.id}:{name}",
        "Arn": arns.role_session_arn(role.account, role.name, name),
    }


def packed_size(policies: fields.SessionPolicies, tags: Mapping[str, str]) -> int | None:
    """Per cent of the room there is, the fuller of policies and tags; None when nothing was passed.

    [guess] AWS packs them in a form it does not publish.
    """
    if policies.text is None and policies.arns is None and not tags:
        return None
    tagged = math.ceil(100 * sum(len(key) + len(value) for key, value in tags.items()) / _TAG_CHARACTERS)
    return max(policies.packed, tagged)


async def policy_ids(call: StsCall, account: AccountId, policies: fields.SessionPolicies) -> Sequence[str] | None:
    """Ids of the managed policies passed, which must be of the session's account or AWS's."""
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
