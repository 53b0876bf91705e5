"""Ids and secrets as IAM makes them (docs/development/policy-engine.md §8.3)."""

import base64
import secrets
from typing import Final

MANAGED_POLICY: Final = "ANPA"
ACCESS_KEY: Final = "AKIA"
SESSION: Final = "ASIA"
PULL_TOKEN: Final = "MPTK"  # noqa: S105 - what ids begin with
"""Ours: no id of AWS begins so."""

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_BYTES: Final = 30
_TOKEN_BYTES: Final = 96


def new_key_id(prefix: str) -> str:
    """The prefix and 16 characters of base32."""
    return prefix + _random(16)


def new_unique_id(prefix: str) -> str:
    """Of an identity or managed policy: the prefix and 17 characters of base32."""
    return prefix + _random(17)


def new_secret() -> str:
    """40 characters of base64."""
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_token() -> str:
    """An opaque session token: 128 characters of base64, nothing in it."""
    return base64.b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode()


def secret_purpose(key_id: str) -> str:
    """What the secret of a key or session is sealed for: no sealed secret opens as another key's."""
    return f"secret of {key_id}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
