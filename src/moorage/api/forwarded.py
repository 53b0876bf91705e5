"""Headers that proxies add: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).

Only one of the two families is read, the one that the setting `forwarded_headers` names: a proxy overwrites or extends
the headers it knows, and passes the others on as the client wrote them.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from moorage.settings import ForwardedHeaders

LONGEST_ADDRESS: Final = 64
"""Characters that are kept of an address that is not valid."""

_PORT: Final = r"(?::(?:[0-9]{1,5}|_[\w.-]{1,31}))?"
_ADDRESS: Final = re.compile(rf"\[([0-9a-fA-F:.]+)\]{_PORT}|([0-9.]+){_PORT}|([0-9a-fA-F:.]+)", re.ASCII)
"""IPv6 in brackets or IPv4, each with or without a port (which RFC 7239 allows to be obfuscated), or IPv6 alone."""
_NAME: Final = r"[!#$%&'*+.^_`|~\w-]+"
_PAIR: Final = re.compile(rf"[ \t]*({_NAME})=(?:([!#$%&'*+.^_`|~\w:\[\]-]+)|\"((?:[^\"\\]|\\.)*)\")[ \t]*", re.ASCII)
"""A parameter. Unlike RFC 7239, it allows addresses without quotes, because many proxies send them."""
_X_FORWARDED: Final = {b"x-forwarded-for": 0, b"x-forwarded-proto": 1, b"x-forwarded-host": 2}


class Forwarded(NamedTuple):
    """The values of a request's headers as they were sent. The nearest proxy wrote the last of each."""

    chain: Sequence[str]
    """Addresses, beginning with the client's. Empty if no proxy reports one."""
    proto: str
    """Empty if it was not sent."""
    host: str
    """Empty if it was not sent."""


def read(sent: Iterable[tuple[bytes, bytes]], family: ForwardedHeaders) -> Forwarded:
    """Read the headers of that family. `sent`: all headers of the request, with names in lower case."""
    lines: tuple[list[str], list[str], list[str]] = ([], [], [])
    forwarded: list[str] = []
    for name, value in sent:
        if name == b"forwarded":
            forwarded.append(value.decode("latin-1"))
        elif name in _X_FORWARDED:
            lines[_X_FORWARDED[name]].append(value.decode("latin-1"))
    chain, protos, hosts = [_listed(each) for each in lines]
    if family == "x-forwarded":
        # Forwarded alone claims that the request came from elsewhere, but the client may have written it.
        chain = chain or _unreadable(lines[0] + forwarded)
        return Forwarded(chain, (protos or [""])[-1].lower(), (hosts or [""])[-1])
    return _of_elements(",".join(forwarded)) if forwarded else Forwarded(_unreadable(lines[0]), "", "")


def address(text: str) -> str | None:
    """Return the address in `text` in its usual form, without port, brackets and quotes; None if there is none.

    An IPv4 address mapped into IPv6 is returned as IPv4.
    """
    if len(text) > LONGEST_ADDRESS:
        return None
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    in_brackets, four, bare = match.groups()
    try:
        if four is not None:
            return str(ipaddress.IPv4Address(four))
        six = ipaddress.IPv6Address(in_brackets or bare)
    except ValueError:
        return None
    return str(six if six.ipv4_mapped is None else six.ipv4_mapped)


def _unreadable(lines: Sequence[str]) -> list[str]:
    """Return headers that cannot be used as one address that is not valid; nothing if there are no headers."""
    return ["not believed: " + ",".join(lines)] if lines else []


def _listed(lines: Sequence[str]) -> list[str]:
    """Return the elements of a list header, of all its lines in order."""
    return [part for part in map(str.strip, ",".join(lines).split(",")) if part]


def _of_elements(text: str) -> Forwarded:
    """Parse the list of RFC 7239. A text that does not follow its grammar becomes one address that is not valid."""
    chain: list[str] = []
    element: dict[str, str] = {}
    at = 0
    while True:
        match = _PAIR.match(text, at)
        if match is not None:
            name = match[1].lower()
            if name in element:
                return Forwarded([text], "", "")
            element[name] = match[2] if match[3] is None else re.sub(r"\\(.)", r"\1", match[3])
            at = match.end()
        ends = text[at : at + 1]
        if ends not in {"", ",", ";"}:
            return Forwarded([text], "", "")
        at += 1
        if ends == ";":
            continue
        if element:
            chain.append(element.get("for", "unknown"))
        if not ends:
            return Forwarded(chain or _unreadable([text]), element.get("proto", "").lower(), element.get("host", ""))
        element = {}
