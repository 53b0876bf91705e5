"""The parts of a call's parameters and response that the audit record keeps, without secrets and image bytes.

A request is recorded as its type declares it, so what else a client sends is not. Member names begin with a lowercase
letter, as in CloudTrail; keys of maps, such as tag keys, are chosen by the client and stay as they are. Secrets are
replaced by the words that CloudTrail uses. A manifest or layer part is recorded as its digest and size. Of any other
text longer than 1 KiB the beginning is kept as well.
"""

import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from moorage.audit.event import GIVE_CREDENTIALS
from moorage.audit.text import MAX_BYTES, truncated
from moorage.cache import measured

HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
MOST_IN_ALL: Final = 16_384
"""Most bytes of all parameters, or of the whole response, that are recorded."""
NOTHING: Final = b"null"

_SECRETS: Final = frozenset(
    {
        "authorizationtoken",
        "downloadurl",
        "encodedmessage",
        "newpassword",
        "oldpassword",
        "password",
        "privatekey",
        "providedcontexts",
        "samlassertion",
        "secret",
        "secretaccesskey",
        "sessiontoken",
        "tokencode",
        "token",
        "webidentitytoken",
    }
)
_BY_DIGEST: Final = frozenset({"imagemanifest", "layerpartblob"})
_LONGEST_KNOWN: Final = 64
"""Most characters of a name whose properties are cached; clients choose the keys of maps."""
_READS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate", "Validate", "Decode", "AssumeRole")


class _Member(NamedTuple):
    """How a member of a request or response is recorded."""

    key: str
    """Its name in the record, which begins with a lowercase letter as in CloudTrail."""
    is_secret: bool
    is_by_digest: bool


def reads_only(operation: str) -> bool:
    """Return CloudTrail's `readOnly` for an operation. CloudTrail counts the operations of STS as reads."""
    return operation.startswith(_READS)


def is_write(operation: str) -> bool:
    """Return whether events of the operation are never dropped: it changes something or returns credentials."""
    return not reads_only(operation) or operation in GIVE_CREDENTIALS


def request_parameters(request: Any) -> bytes:
    """Return `requestParameters` of a typed request as JSON."""
    return _encoded(request)


def own_parameters(members: Mapping[str, Any]) -> bytes:
    """Return `requestParameters` of one of Moorage's own calls as JSON; its names are kept as they are."""
    return _encoded(members, are_members=False)


def response_elements(operation: str, response: Any) -> bytes:
    """Return `responseElements` as JSON: `null` for a read, unless its response contains credentials."""
    if response is None or (reads_only(operation) and not _gives_credentials(response)):
        return NOTHING
    return _encoded(response)


def _gives_credentials(response: Any) -> bool:
    return getattr(response, "credentials", None) is not None


def _encoded(value: Any, *, are_members: bool = True) -> bytes:
    """Return `value` as JSON of at most MOST_IN_ALL bytes. `are_members`: whether its keys are names of members."""
    told = _cleaned(_member(""), value, are_members=are_members)
    encoded = msgspec.json.encode(told)
    if len(encoded) > MOST_IN_ALL and isinstance(told, dict):
        for name, member in told.items():
            text = msgspec.json.encode(member)
            if len(text) > MAX_BYTES:
                told[name] = _by_digest(text)
        encoded = msgspec.json.encode(told)
    return encoded if len(encoded) <= MOST_IN_ALL else msgspec.json.encode(_by_digest(encoded))


def _cleaned(member: _Member, value: Any, *, are_members: bool) -> Any:
    """Return the value of `member` in the form in which it is recorded.

    `are_members`: whether the keys of a dictionary are names of members, as in an untyped response. In a structure the
    keys of every dictionary are those of a map.
    """
    if member.is_secret:
        return value if value is None else HIDDEN
    if isinstance(value, str):
        return _by_digest(value.encode(errors="replace")) if member.is_by_digest else _kept(value)
    if isinstance(value, msgspec.Struct):
        cleaned = {}
        for attribute, each, default in _members_of(type(value)):
            found = getattr(value, attribute)
            if found is not None and found != default:  # the encoder of these structures omits defaults, too
                cleaned[each.key] = _cleaned(each, found, are_members=False)
        return cleaned
    if isinstance(value, Mapping):
        pairs = [(name, _member(name), found) for name, found in value.items() if found is not None]
        return {
            each.key if are_members else truncated(name): _cleaned(each, found, are_members=are_members)
            for name, each, found in pairs
        }
    if isinstance(value, bytes):
        return _by_digest(value)
    if isinstance(value, (list, tuple)):
        return [_cleaned(member, each, are_members=are_members) for each in value]
    return value


@cache
def _members_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, _Member, Any], ...]:
    """Return attribute, member and default value of each field of a structure."""
    return tuple((each.name, _member(each.encode_name), each.default) for each in msgspec.structs.fields(kind))


def _member(name: str) -> _Member:
    return _known_member(name) if len(name) <= _LONGEST_KNOWN else _read_member(name)


def _read_member(name: str) -> _Member:
    lowered = name.lower()
    is_secret = lowered.partition(".")[0] in _SECRETS or lowered.rpartition(".")[2] in _SECRETS
    return _Member(truncated(name[:1].lower() + name[1:]), is_secret, lowered in _BY_DIGEST)


_known_member = lru_cache(maxsize=1024)(_read_member)
measured("audit_members", _known_member, 1024)


def _kept(text: str) -> Any:
    if len(text) <= MAX_BYTES // 4:
        return truncated(text)
    whole = text.encode(errors="replace")
    return truncated(text) if len(whole) <= MAX_BYTES else {"begins": truncated(text), **_by_digest(whole)}


def _by_digest(content: bytes) -> dict[str, Any]:
    if len(content) > 1 << 18:  # hashing a layer part here would delay other requests
        return {"bytes": len(content)}
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
