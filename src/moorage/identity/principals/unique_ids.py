"""Unique ids and secrets, in the forms that IAM uses (docs/development/policy-engine.md §8.3)."""

import base64
import secrets
from typing import Final

MANAGED_POLICY: Final = "ANPA"
ACCESS_KEY: Final = "AKIA"
SESSION: Final = "ASIA"
PULL_TOKEN: Final = "MPTK"  # noqa: S105 - a prefix, not a password
"""Moorage's own prefix; no id of AWS begins with it."""

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_BYTES: Final = 30
_TOKEN_BYTES: Final = 96


def new_key_id(prefix: str) -> str:
    """Return the id of a key, session or token: the prefix and 16 characters of base32."""
    return prefix + _random(16)


def new_unique_id(prefix: str) -> str:
    """Return the id of an identity or managed policy: the prefix and 17 characters of base32."""
    return prefix + _random(17)


def new_secret() -> str:
    """Return a secret access key: 40 characters of base64."""
    return base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_token() -> str:
    """Return an opaque session token: 128 characters of base64."""
    return base64.b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode()


def secret_purpose(key_id: str) -> str:
    """Return the purpose that the secret of a key or session is sealed for. No other key's secret opens under it."""
    return f"secret of {key_id}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
