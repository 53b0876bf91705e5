"""The paths of /v2/: the kind of thing a request names, its repository, and the thing itself."""

from typing import NamedTuple

PING = "ping"
CATALOG = "catalog"
MANIFESTS = "manifests"
BLOBS = "blobs"
UPLOADS = "uploads"
TAGS = "tags"
REFERRERS = "referrers"

_OF_A_REPOSITORY = frozenset({MANIFESTS, BLOBS, REFERRERS})


class Route(NamedTuple):
    """The parts of a path. Name and argument are as the client wrote them; the handler parses them."""

    kind: str
    name: str = ""
    argument: str = ""


_PING = Route(PING)
_CATALOG = Route(CATALOG)


def parse(path: str) -> Route | None:
    """Return the route of a decoded path; None if /v2/ has no such path or it is not valid Unicode.

    The path is read from the right, since a repository may be called `manifests` or `a/blobs`.
    """
    if not path.startswith("/v2/"):
        return _PING if path == "/v2" else None
    if not path.isascii() and _has_surrogates(path):
        return None
    rest = path[4:]
    left, _, last = rest.rpartition("/")
    name, _, kind = left.rpartition("/")
    if kind in _OF_A_REPOSITORY and name and last:
        if kind == BLOBS and last == "uploads":
            return Route(UPLOADS, name)
        return Route(kind, name, last)
    if kind == "uploads" and name.endswith("/blobs"):
        return Route(UPLOADS, name[: -len("/blobs")], last)
    if kind == "tags" and last == "list" and name:
        return Route(TAGS, name)
    if rest == "":
        return _PING
    if rest == "_catalog":
        return _CATALOG
    return None


def _has_surrogates(text: str) -> bool:
    """Return whether the text contains an unpaired surrogate, which no response and no record can contain."""
    return any("\ud800" <= each <= "\udfff" for each in text)
