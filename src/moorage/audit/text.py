"""What the audit record keeps of a text: at most 1 KiB, valid Unicode, and no secret."""

import re
from collections.abc import Mapping
from typing import Final

from moorage.policy import CLOCK_KEYS

Values = Mapping[str, str | tuple[str, ...]]

LONGEST: Final = 1024
"""Bytes (UTF-8) that are kept of one text."""
CUT: Final = "moorage:cut"
"""In a recorded context: the condition keys whose values are not kept whole. A policy that reads one of them cannot be
evaluated again on this context."""
RESOURCE: Final = "resource"
"""Among those names: the ARN of the resource, or more keys than are named. No policy can be evaluated again then."""
_MOST_VALUES: Final = 128
"""Values of one condition key that are kept; a request may have 50 tags."""
_MOST_KEYS: Final = 512
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
"""Secrets in a text that somebody else composed: parameters, credentials, the user of a URL, JSON web tokens."""


def kept(text: str) -> str:
    """The text as the record keeps it; a longer one ends with an ellipsis."""
    if len(text) <= LONGEST and text.isascii() and "\x00" not in text:
        return text
    # PostgreSQL stores no NUL, and half a surrogate pair has no UTF-8.
    whole = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    if len(whole) <= LONGEST:
        return whole.decode()
    return whole[: LONGEST - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def kept_message(text: str) -> str:
    """An error message, which may repeat what the request said, without the secrets of that."""
    # A message is cut first, so that the expression never reads more than is kept.
    return _SECRETS.sub(_hide, kept(text))


def _hide(found: re.Match[str]) -> str:
    return f"{next((each for each in found.groups() if each is not None), '')}***"


def kept_context(context: Values, *, resource_cut: bool = False) -> dict[str, str | tuple[str, ...]]:
    """The values of a request's condition keys without the clock's, which follow from the decision's time.

    `moorage:cut` names the keys whose values are not whole (`resource_cut`: also the resource).
    """
    values: dict[str, str | tuple[str, ...]] = {}
    cut = [RESOURCE] if resource_cut else []
    for key, value in context.items():
        if key in CLOCK_KEYS:
            continue
        if len(values) >= _MOST_KEYS or len(key) > LONGEST:
            cut.append(RESOURCE)
            continue
        name = kept(key)
        values[name] = told = _kept_value(key, value)
        if told != value or name != key:
            cut.append(name)
    if len(cut) > _MOST_VALUES:
        cut[_MOST_VALUES:] = [RESOURCE]
    if cut:
        values[CUT] = tuple(sorted(set(cut)))
    return values


def _kept_value(key: str, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return kept(_kept_referer(value) if key == _REFERER else value)
    return tuple([kept(each) for each in value[:_MOST_VALUES]])


def _kept_referer(text: str) -> str:
    """A page's address without user, password, query and fragment, which may hold secrets."""
    address = re.split(r"[?#]", text, maxsplit=1)[0]
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
