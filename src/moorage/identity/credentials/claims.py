"""The claims of an ID token, read strictly and turned into condition keys.

The issuer signs the token, but people choose many of the values and sometimes the names (a branch, a custom claim). So
names that could be mistaken for one another, or for a registered claim, are refused, and no value is truncated.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

Keys = dict[str, str | tuple[str, ...]]
"""Condition keys in lower case, with their values."""

REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "amr"})
"""Claims with a meaning of their own (RFC 7519 section 4.1, OpenID Connect Core section 2). Their names are exact."""
MAX_KEYS: Final = 100
MAX_DEPTH: Final = 4
"""Levels of nested claims that become keys. Kubernetes nests three deep."""
MAX_TEXT: Final = 255
"""Characters of a `sub`, as AWS limits it, and of an `azp`."""

_LAST_TIME: Final = 253_402_300_799  # the end of the year 9999, the last that a date can be written for


def read_claims(text: bytes) -> dict[str, Any]:
    """Decode the payload of a token: a JSON object. Raises ValueError.

    Refuses what JSON readers disagree on: a name twice in one object, NaN and infinite numbers, lone surrogates, NUL.
    """
    try:
        claims = json.loads(
            text.decode(), object_pairs_hook=_object, parse_constant=_refuse_number, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("the claims are nested too deeply") from None
    if not isinstance(claims, dict):
        raise ValueError("the claims are not a JSON object")
    again = json.dumps(claims, ensure_ascii=False)
    again.encode()  # UnicodeEncodeError, a ValueError: a lone surrogate
    if "\\u0000" in again:
        raise ValueError("the claims contain NUL")
    return claims


def read_time(claims: Mapping[str, Any], name: str) -> float:
    """Return a claim that is a time (RFC 7519, NumericDate), in seconds since the epoch. Raises ValueError."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise ValueError(f"{name} is not a time")
    return value


def read_text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that names somebody: 1 to 255 printable characters. Raises ValueError."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"{name} is not a text of 1 to {MAX_TEXT} printable characters")
    return value


def condition_keys(issuer: str, claims: Mapping[str, Any], audience: str) -> Keys:
    """Return the condition keys `<issuer>:<claim>` of a token's claims, in lower case.

    `issuer`: its name without the scheme. A claim that is a text, a number, a truth value or a list of texts has a key;
    nested claims are joined with a slash (`kubernetes.io/serviceaccount/name`). `aud` is `audience`. Raises ValueError
    when two claims would have the same key, when a name differs from a registered claim's only by case, and for more
    than `MAX_KEYS` claims.
    """
    for name in claims:
        if name not in REGISTERED and name.lower() in REGISTERED:
            raise ValueError(f"the claim {name!r} could be taken for {name.lower()!r}")
    prefix = issuer.lower() + ":"
    values: dict[str, Any] = {}
    _flatten(prefix, claims, values)
    keys = {key: kept for key, value in values.items() if (kept := _value(value)) is not None}
    keys[f"{prefix}aud"] = audience
    return keys


def _flatten(prefix: str, claims: Mapping[str, Any], values: dict[str, Any], depth: int = 1) -> None:
    for name, value in claims.items():
        key = prefix + name.lower()
        if key in values:
            raise ValueError(f"the claim {name!r} could be taken for another one")
        if len(values) == MAX_KEYS:
            raise ValueError(f"there are more than {MAX_KEYS} claims")
        values[key] = value
        if isinstance(value, dict) and depth < MAX_DEPTH:
            _flatten(key + "/", value, values, depth + 1)


def _value(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
