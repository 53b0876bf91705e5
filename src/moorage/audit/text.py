"""Makes texts fit for the audit record: at most 1 KiB, valid Unicode, without secrets."""

import re
from collections.abc import Mapping
from typing import Final

from moorage.policy import CLOCK_KEYS

Values = Mapping[str, str | tuple[str, ...]]

MAX_BYTES: Final = 1024
"""Most bytes (UTF-8) that are recorded of one text."""
CUT: Final = "moorage:cut"
"""In a recorded context: the condition keys whose values are truncated. A policy that reads one of them cannot be
evaluated again on this context."""
RESOURCE: Final = "resource"
"""Among those keys: the ARN of the resource is truncated, or there are more keys than are listed. No policy can then be
evaluated again."""
_MAX_VALUES: Final = 128
"""Most values of one condition key that are recorded; a request may have 50 tags."""
_MAX_KEYS: Final = 512
_ELLIPSIS: Final = "…"
_REFERER: Final = "aws:referer"
_SECRETS: Final = re.compile(
    r"""
    ( (?: x-amz-signature | x-amz-security-token | signature | token | access_token | refresh_token | id_token
        | password | secret ) = ) [^\s&,;'"]+
    | ( \b (?: bearer | basic ) \s+ ) [A-Za-z0-9+/=._~-]{8,}
    | ( :// ) [^/\s@'"]+ @
    | () \b eyJ [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]+ (?: \. [A-Za-z0-9_-]* )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Secrets in a text that a client composed: parameters, credentials, the user of a URL, JSON web tokens."""


def truncated(text: str) -> str:
    """Return the recorded form of a text. A text that was cut ends with an ellipsis."""
    if len(text) <= MAX_BYTES and text.isascii() and "\x00" not in text:
        return text
    # PostgreSQL cannot store NUL, and half a surrogate pair cannot be encoded in UTF-8.
    whole = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    if len(whole) <= MAX_BYTES:
        return whole.decode()
    return whole[: MAX_BYTES - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def truncated_message(text: str) -> str:
    """Return the recorded form of an error message, which may quote secrets from the request."""
    # The message is cut first, so that the expression never searches more than is recorded.
    return _SECRETS.sub(_hide, truncated(text))


def _hide(found: re.Match[str]) -> str:
    return f"{next((each for each in found.groups() if each is not None), '')}***"


def truncated_context(context: Values, *, resource_cut: bool = False) -> dict[str, str | tuple[str, ...]]:
    """Return the recorded values of a request's condition keys, without those that follow from the decision's time.

    `moorage:cut` lists the keys whose values are truncated, and `resource` if `resource_cut` says that its ARN is.
    """
    values: dict[str, str | tuple[str, ...]] = {}
    cut = [RESOURCE] if resource_cut else []
    for key, value in context.items():
        if key in CLOCK_KEYS:
            continue
        if len(values) >= _MAX_KEYS or len(key) > MAX_BYTES:
            cut.append(RESOURCE)
            continue
        name = truncated(key)
        values[name] = recorded = _truncated_value(key, value)
        if recorded != value or name != key:
            cut.append(name)
    if len(cut) > _MAX_VALUES:
        cut[_MAX_VALUES:] = [RESOURCE]
    if cut:
        values[CUT] = tuple(sorted(set(cut)))
    return values


def _truncated_value(key: str, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return truncated(_stripped_referer(value) if key == _REFERER else value)
    return tuple([truncated(each) for each in value[:_MAX_VALUES]])


def _stripped_referer(text: str) -> str:
    """Return the URL of a page without user, password, query and fragment, which may contain secrets."""
    address = re.split(r"[?#]", text, maxsplit=1)[0]
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
