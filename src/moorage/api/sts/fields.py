"""The form fields of STS's operations, held against the constraints of its service model."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from moorage import policy
from moorage.api.aws.query import Parameters, checked, checked_number, invalid
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.names import AccountId

MOST_TAGS: Final = 50
MOST_POLICIES: Final = 10
PACKED: Final = 2048
"""Characters that session policies and policy ARNs may have together."""
MOST_POLICY: Final = 2048
"""Characters of Policy, for every operation but AssumeRole (shape `sessionPolicyDocumentType` of the service model)."""
ANY_POLICY: Final = 131_072
"""Characters of Policy that AssumeRole reads; its service model has no limit."""

_NAME: Final = re.compile(r"[\w+=,.@-]*", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:\/-]*", re.ASCII)
_DOCUMENT: Final = re.compile(r"[\t\n\r\x20-\xff]+")
_TAG: Final = re.compile(r"[\w\s.:/=+\-@]*")
_ANY: Final = re.compile(r".*", re.DOTALL)
_KEY_ID: Final = re.compile(r"\w*", re.ASCII)


class RoleArn(NamedTuple):
    account: AccountId
    text: str


class SessionPolicies(NamedTuple):
    """What shall limit a session. Both None: nothing does."""

    text: str | None
    arns: list[str] | None

    @property
    def packed(self) -> int:
        """How much of what there is room for they take, in per cent."""
        return math.ceil(100 * (len(self.text or "") + sum(map(len, self.arns or ()))) / PACKED)


def role_arn(request: Parameters) -> RoleArn:
    """Return the role that RoleArn names. Raises ValidationError, which reports a bad RoleSessionName first."""
    session_name(request)
    return role_arn_alone(request)


def role_arn_alone(request: Parameters) -> RoleArn:
    """Return the role that RoleArn names, in a request that has no RoleSessionName."""
    text = checked("RoleArn", request.required("RoleArn"), _ANY, 20, 2048)
    said = arns.parse_identity(text)
    if said is None or said.kind != "role":
        raise QueryError("ValidationError", f"{text} is invalid")
    return RoleArn(said.account, text)


def session_name(request: Parameters) -> str:
    return checked("RoleSessionName", request.required("RoleSessionName"), _NAME, 2, 64)


def user_name(request: Parameters) -> str:
    """Of a federated user."""
    return checked("Name", request.required("Name"), _NAME, 2, 32)


def external_id(request: Parameters) -> str | None:
    return _optional(request, "ExternalId", _EXTERNAL_ID, 2, 1224)


def source_identity(request: Parameters) -> str | None:
    given = request.get("SourceIdentity")
    return None if given is None else checked_source_identity(given)


def checked_source_identity(given: str) -> str:
    return checked("SourceIdentity", given, _NAME, 2, 64)


def saml_provider(request: Parameters) -> str:
    """Return the ARN of the identity provider that PrincipalArn names."""
    return checked("PrincipalArn", request.required("PrincipalArn"), _ANY, 20, 2048)


def saml_assertion(request: Parameters) -> str:
    return _secret(request, "SAMLAssertion", 4, 100_000)


def token(request: Parameters) -> str:
    return _secret(request, "WebIdentityToken", 4, 20_000)


def _secret(request: Parameters, field: str, least: int, most: int) -> str:
    """Return a member that the service model calls sensitive. A refusal does not repeat its value."""
    text = request.required(field)
    if not least <= len(text) <= most:
        bound = f"greater than or equal to {least}" if len(text) < least else f"less than or equal to {most}"
        raise QueryError(
            "ValidationError",
            f"1 validation error detected: Value at '{field[:1].lower()}{field[1:]}' failed to satisfy constraint:"
            f" Member must have length {bound}",
        )
    return text


def key_id(request: Parameters) -> str:
    return checked("AccessKeyId", request.required("AccessKeyId"), _KEY_ID, 16, 128)


def encoded_message(request: Parameters) -> str:
    return checked("EncodedMessage", request.required("EncodedMessage"), _ANY, 1, 10_240)


def seconds(request: Parameters, default: int, most: int) -> int:
    """DurationSeconds, 900 to `most`."""
    given = request.integer("DurationSeconds")
    if given is None:
        return default
    if given < 900:
        raise invalid("DurationSeconds", str(given), "Member must have value greater than or equal to 900")
    if given > most:
        raise invalid("DurationSeconds", str(given), f"Member must have value less than or equal to {most}")
    return given


def tags(request: Parameters) -> dict[str, str]:
    """Session tags by key; keys that differ only by case are one too many (STS API reference, AssumeRole)."""
    return checked_tags([(tag.required("Key"), tag.required("Value")) for tag in request.structures("Tags")])


def checked_tags(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the keys and values of session tags by key. Raises QueryError when they break a rule for session tags."""
    found: dict[str, str] = {}
    checked_number("Tags", [f"{{key={key}, value={value}}}" for key, value in given], MOST_TAGS)
    for number, (key, value) in enumerate(given, start=1):
        at = f"Tags.{number}.member"
        checked(f"{at}.key", key, _TAG, 1, 128)
        if key.lower() in {each.lower() for each in found}:
            raise QueryError(
                "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        if key.lower().startswith("aws:"):
            raise QueryError("InvalidParameterValue", "Tag keys beginning with aws: are reserved")
        found[key] = checked(f"{at}.value", value, _TAG, 0, 256)
    return found


def transitive_keys(request: Parameters, given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of the tags in `given` that later sessions in the role chain inherit, spelled as in `given`.

    Keys are compared without case. Raises InvalidParameterValue for a key that `given` does not have.
    """
    keys = request.members("TransitiveTagKeys")
    checked_number("TransitiveTagKeys", keys, MOST_TAGS)
    for number, key in enumerate(keys, start=1):
        checked(f"TransitiveTagKeys.{number}.member", key, _TAG, 1, 128)
    found = known_keys(keys, given)
    if None in found:
        raise QueryError(
            "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."
        )
    return tuple(dict.fromkeys(key for key in found if key is not None))


def known_keys(keys: Iterable[str], given: Mapping[str, str]) -> list[str | None]:
    """Return each of the tag keys as `given` spells it, compared without case; None for one that it does not have."""
    spelled = {key.lower(): key for key in given}
    return [spelled.get(key.lower()) for key in keys]


def session_policies(request: Parameters, most: int = MOST_POLICY) -> SessionPolicies:
    """Return Policy (up to `most` characters) and PolicyArns.

    Raises ValidationError, PackedPolicyTooLarge, MalformedPolicyDocument.
    """
    text = _optional(request, "Policy", _DOCUMENT, 1, most)
    passed = [
        checked("PolicyArns.member.arn", each.required("arn"), _ANY, 20, 2048)
        for each in request.structures("PolicyArns")
    ]
    checked_number("PolicyArns", [f"{{arn={each}}}" for each in passed], MOST_POLICIES)
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


def _optional(request: Parameters, field: str, pattern: re.Pattern[str], least: int, most: int) -> str | None:
    given = request.get(field)
    return None if given is None else checked(field, given, pattern, least, most)
