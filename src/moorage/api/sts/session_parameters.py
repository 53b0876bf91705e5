"""Rules for the parameters of sessions that STS's service model does not state."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from moorage import policy
from moorage.api.aws import query
from moorage.api.aws.constraints import all_of, violations
from moorage.api.sts import shapes
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.names import AccountId

MOST_POLICIES: Final = 10
PACKED: Final = 2048
"""Characters that session policies and policy ARNs may have together."""


class RoleArn(NamedTuple):
    account: AccountId
    text: str


class SessionPolicies(NamedTuple):
    """What limits a session. Both None: nothing does."""

    text: str | None
    arns: list[str] | None

    @property
    def packed(self) -> int:
        """The share of the available space that they take, in percent."""
        return math.ceil(100 * (len(self.text or "") + sum(map(len, self.arns or ()))) / PACKED)


def role_arn(text: str) -> RoleArn:
    """Return the role that RoleArn names. Raises ValidationError."""
    parsed = arns.parse_identity(text)
    if parsed is None or parsed.kind != "role":
        raise QueryError("ValidationError", f"{text} is invalid")
    return RoleArn(parsed.account, text)


def tags_by_key(tags: Sequence[shapes.Tag] | None) -> dict[str, str]:
    """Return session tags by key (STS API reference, AssumeRole).

    Raises InvalidParameterValue for a key that starts with `aws:`, and for one that occurs twice, in whatever case.
    """
    found: dict[str, str] = {}
    folded: set[str] = set()
    for tag in tags or ():
        lowered = tag.key.lower()
        if lowered in folded:
            raise QueryError(
                "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        if lowered.startswith("aws:"):
            raise QueryError("InvalidParameterValue", "Tag keys beginning with aws: are reserved")
        folded.add(lowered)
        found[tag.key] = tag.value
    return found


def transitive_keys(keys: Iterable[str], tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of the tags in `tags` that later sessions in the role chain inherit, spelled as in `tags`.

    Keys are compared without case. Raises InvalidParameterValue for a key that `tags` does not have.
    """
    found = spelled_as_in(tags, keys)
    if None in found:
        raise QueryError(
            "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."
        )
    return tuple(dict.fromkeys(key for key in found if key is not None))


def spelled_as_in(tags: Mapping[str, str], keys: Iterable[str]) -> list[str | None]:
    """Return each of the keys as `tags` spells it, compared without case; None for one that it does not have."""
    spelled = {key.lower(): key for key in tags}
    return [spelled.get(key.lower()) for key in keys]


class _Claims(msgspec.Struct, frozen=True, rename="camel"):
    """What a token may ask for its session, with the constraints that a request has."""

    tags: shapes.tagListType
    source_identity: shapes.sourceIdentityType | None = None


def check_claims(tags: Mapping[str, str], source_identity: str | None) -> None:
    """Raise ValidationError unless a request could have these tags and this source identity."""
    claimed = [{"Key": key, "Value": value} for key, value in tags.items()]
    members = {"tags": claimed, "sourceIdentity": source_identity}
    found = violations(_Claims, members)
    if found:
        raise QueryError("ValidationError", all_of(found))


def session_policies(text: str | None, policy_arns: Sequence[shapes.PolicyDescriptorType] | None) -> SessionPolicies:
    """Return what limits a session: Policy and PolicyArns.

    Raises ValidationError, PackedPolicyTooLarge, MalformedPolicyDocument.
    """
    passed = []
    for each in policy_arns or ():
        if each.arn is None:
            raise query.invalid("arn", None, "Member must not be null")
        passed.append(each.arn)
    if len(passed) > MOST_POLICIES:
        shown = ", ".join(f"{{arn={each}}}" for each in passed)
        constraint = f"Member must have length less than or equal to {MOST_POLICIES}"
        raise query.invalid("PolicyArns", f"[{shown}]", constraint)
    policies = SessionPolicies(text, passed or None)
    if policies.packed > 100:
        raise QueryError(
            "PackedPolicyTooLarge",
            f"Packed policy consumes {policies.packed}% of allotted space, please use smaller policy.",
        )
    if text is not None:
        refused = policy.refusal(policy.parsed(text, policy.Kind.SESSION))
        if refused is not None:
            raise QueryError("MalformedPolicyDocument", refused)
    return policies
