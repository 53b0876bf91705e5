"""What the audit record keeps of a call: its parameters and its answer, without secrets and without images.

Secrets are replaced by CloudTrail's own words. A manifest or a layer part is named by its digest and size, as is
whatever else is very long.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from moorage.api.aws.query import Parameters

HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
MOST: Final = 32_768
"""Characters of one text that are kept."""
MOST_IN_ALL: Final = 65_536
"""Bytes of all parameters, or of the whole answer, that are kept."""
NOTHING: Final = b"null"

_SECRETS: Final = frozenset(
    {
        "authorizationtoken",
        "password",
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
_READS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate", "Validate", "Decode", "AssumeRole")


def reads_only(operation: str) -> bool:
    """CloudTrail's `readOnly`. It counts the operations of STS among the reads."""
    return operation.startswith(_READS)


def request_parameters(request: Any) -> bytes:
    """requestParameters as JSON."""
    if isinstance(request, Parameters):
        return _told({name: value for name, value in request.items() if name not in {"Action", "Version"}})
    return _told(msgspec.to_builtins(request, builtin_types=(bytes,)))


def response_elements(operation: str, response: Any) -> bytes:
    """responseElements as JSON: `null` for what only reads, except credentials that were given out."""
    if response is None or (reads_only(operation) and not _gives_credentials(response)):
        return NOTHING
    return _told(msgspec.to_builtins(response, builtin_types=(bytes,)))


def _gives_credentials(response: Any) -> bool:
    return isinstance(response, Mapping) and "Credentials" in response


def _told(value: Any) -> bytes:
    try:
        told = msgspec.json.encode(_clean("", value))
    except UnicodeEncodeError:  # half a surrogate pair: text that is none
        return NOTHING
    return told if len(told) <= MOST_IN_ALL else msgspec.json.encode(_by_digest(told))


def _clean(name: str, value: Any) -> Any:
    """The value of the member `name` as it may be kept."""
    if isinstance(value, str):
        folded = name.lower()
        if folded in _SECRETS:
            return HIDDEN
        return _by_digest(value.encode()) if folded in _BY_DIGEST or len(value) > MOST else value
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _clean(key, member) for key, member in value.items() if member is not None}
    if isinstance(value, bytes):
        return _by_digest(value)
    if isinstance(value, list):
        return [_clean(name, member) for member in value]
    return value


def _by_digest(content: bytes) -> dict[str, Any]:
    if len(content) > 1 << 18:  # hashing a layer's part here would keep others waiting; its bytes are in the upload
        return {"bytes": len(content)}
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
