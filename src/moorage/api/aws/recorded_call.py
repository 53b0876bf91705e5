"""What the audit record keeps of a call: its parameters and its answer, without secrets and without images.

Of a typed request that is what its type declares; of a form, what the operation's model declares (`declared_members`).
Secrets among that are replaced by CloudTrail's own words. A manifest or a layer part is named by its digest and size,
and of whatever else is longer than 1 KiB the beginning is kept, too.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from moorage.api.aws import declared_members
from moorage.api.aws.query import Parameters
from moorage.audit.records import GIVE_CREDENTIALS
from moorage.audit.text import LONGEST, kept
from moorage.cache import measured

HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
MOST_IN_ALL: Final = 16_384
"""Bytes of all parameters, or of the whole answer, that are kept."""
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
"""Characters of the longest name of a member that is remembered; the callers choose the keys of maps."""
_READS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate", "Validate", "Decode", "AssumeRole")


class _Member(NamedTuple):
    """How a member of a request or an answer is kept."""

    key: str
    """Its name in the record: it begins with a small letter, as CloudTrail's do."""
    is_secret: bool
    is_by_digest: bool


def reads_only(operation: str) -> bool:
    """CloudTrail's `readOnly`. It counts the operations of STS among the reads."""
    return operation.startswith(_READS)


def is_write(operation: str) -> bool:
    """Whether the record of an operation is never dropped: it changes something or gives out credentials."""
    return not reads_only(operation) or operation in GIVE_CREDENTIALS


def request_parameters(request: Any) -> bytes:
    """requestParameters as JSON."""
    if isinstance(request, Parameters):
        declared = declared_members.QUERY | declared_members.SECRET
        return _told({name: value for name, value in request.items() if name.partition(".")[0] in declared})
    return _told(msgspec.to_builtins(request, builtin_types=(bytes,)))


def response_elements(operation: str, response: Any) -> bytes:
    """responseElements as JSON: `null` for what only reads, except credentials that were given out."""
    if response is None or (reads_only(operation) and not _gives_credentials(response)):
        return NOTHING
    return _told(msgspec.to_builtins(response, builtin_types=(bytes,)))


def _gives_credentials(response: Any) -> bool:
    return isinstance(response, Mapping) and "Credentials" in response


def _told(value: Any) -> bytes:
    told = _clean("", value)
    encoded = msgspec.json.encode(told)
    if len(encoded) > MOST_IN_ALL and isinstance(told, dict):
        for name, member in told.items():
            text = msgspec.json.encode(member)
            if len(text) > LONGEST:
                told[name] = _by_digest(text)
        encoded = msgspec.json.encode(told)
    return encoded if len(encoded) <= MOST_IN_ALL else msgspec.json.encode(_by_digest(encoded))


def _clean(name: str, value: Any) -> Any:
    """The value of the member `name` as it may be kept."""
    return _clean_member(_member(name), value)


def _clean_member(member: _Member, value: Any) -> Any:
    if member.is_secret:
        return value if value is None else HIDDEN
    if isinstance(value, str):
        return _by_digest(value.encode(errors="replace")) if member.is_by_digest else _kept(value)
    if isinstance(value, dict):
        members = [(_member(name), each) for name, each in value.items() if each is not None]
        return {each.key: _clean_member(each, value) for each, value in members}
    if isinstance(value, bytes):
        return _by_digest(value)
    if isinstance(value, list):
        return [_clean_member(member, each) for each in value]
    return value


def _member(name: str) -> _Member:
    return _known_member(name) if len(name) <= _LONGEST_KNOWN else _read_member(name)


def _read_member(name: str) -> _Member:
    lowered = name.lower()
    is_secret = lowered.partition(".")[0] in _SECRETS or lowered.rpartition(".")[2] in _SECRETS
    return _Member(kept(name[:1].lower() + name[1:]), is_secret, lowered in _BY_DIGEST)


_known_member = lru_cache(maxsize=1024)(_read_member)
measured("audit_members", _known_member, 1024)


def _kept(text: str) -> Any:
    if len(text) <= LONGEST // 4:
        return kept(text)
    whole = text.encode(errors="replace")
    return kept(text) if len(whole) <= LONGEST else {"begins": kept(text), **_by_digest(whole)}


def _by_digest(content: bytes) -> dict[str, Any]:
    if len(content) > 1 << 18:  # hashing a layer's part here would keep others waiting; its bytes are in the upload
        return {"bytes": len(content)}
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
