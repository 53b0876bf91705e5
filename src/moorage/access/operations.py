"""Condition keys, resources and permitted callers of operations of IAM and ECR.

The API reads them from a request; `declarative` carries out the same operations.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from moorage.access.caller import Caller
from moorage.identity.arns import identity_arn
from moorage.identity.principals.entity import Kind
from moorage.names import AccountId

Conditions: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Condition keys that an operation adds, in lower case."""

_NOT_IN_IAM: Final = frozenset({"session", "federated"})
_NO_TAGS: Final[Mapping[str, str]] = {}


def tag_conditions(tags: Iterable[tuple[str, str]], *further_keys: str) -> dict[str, str | tuple[str, ...]]:
    """Return aws:RequestTag/KEY and aws:TagKeys of a request with `tags` and with keys without values."""
    given = list(tags)
    found: dict[str, str | tuple[str, ...]] = {f"aws:requesttag/{key.lower()}": value for key, value in given}
    keys = (*(key for key, _ in given), *further_keys)
    if keys:
        found["aws:tagkeys"] = keys
    return found


def resource_tags(service: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return aws:ResourceTag/KEY and SERVICE:ResourceTag/KEY of a resource with `tags`."""
    return {f"{each}:resourcetag/{key.lower()}": value for key, value in tags.items() for each in ("aws", service)}


def iam_conditions(
    *,
    tags_there: Mapping[str, str] = _NO_TAGS,
    boundary: str | None = None,
    policy: str | None = None,
    tags: Mapping[str, str] = _NO_TAGS,
    tag_keys: Iterable[str] = (),
) -> dict[str, str | tuple[str, ...]]:
    """Return the condition keys of an operation of IAM.

    `tags_there`: tags of the user, role or policy. `boundary`: ARN of the permissions boundary that the request sets
    or, for some operations, of the one in force. `policy`: PolicyArn of the request. `tags` and `tag_keys`: those of
    the request.
    """
    values: dict[str, str | tuple[str, ...]] = {}
    if boundary is not None:
        values["iam:permissionsboundary"] = boundary
    if policy is not None:
        values["iam:policyarn"] = policy
    values.update(tag_conditions(tags.items(), *tag_keys))
    values.update(resource_tags("iam", tags_there))
    return values


def renamed(kind: Kind, account: AccountId, name: str, path: str, new_name: str, new_path: str) -> tuple[str, ...]:
    """Return the ARNs that UpdateUser and UpdateGroup are decided on: the old and the new one (IAM user guide)."""
    source = identity_arn(kind.name, account, path, name)
    return tuple(dict.fromkeys((source, identity_arn(kind.name, account, new_path, new_name))))


def may_call_iam(caller: Caller) -> bool:
    """Return whether IAM accepts the caller.

    It does not accept sessions of GetSessionToken without MFA, and all of them are here, or federated users (STS API
    reference).
    """
    return caller.credential not in _NOT_IN_IAM
