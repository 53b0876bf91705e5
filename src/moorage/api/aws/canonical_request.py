"""The canonical request: the text that Signature Version 4 signs (docs/development/policy-engine.md §8.4)."""

from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

from moorage.api.asgi import Scope


def canonical_request(scope: Scope, names: Mapping[bytes, str], signed_headers: str, host: str) -> str:
    """Return the canonical request without its last line, the hash of the payload.

    `names`: the names of the signed headers in order, by their names in the request. `signed_headers`: the same names
    as the client listed them. `host`: the Host header as the client sent it, which a proxy may have changed since.
    """
    values: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in names:
            text = " ".join(value.decode("utf-8", "surrogateescape").split())
            values[name] = f"{values[name]},{text}" if name in values else text
    values[b"host"] = host
    lines = "".join([f"{text}:{values.get(name, '')}\n" for name, text in names.items()])
    query = scope["query_string"]
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    return f"{scope['method']}\n{_path(path)}\n{_query(query) if query else ''}\n{lines}\n{signed_headers}\n"


def _path(raw: bytes) -> str:
    """Return the path with dot segments and empty segments removed, and each segment encoded once more."""
    if raw == b"/":
        return "/"
    raw = raw.split(b"?", 1)[0]
    kept: list[bytes] = []
    for segment in raw.split(b"/"):
        if segment == b"..":
            kept[-1:] = []
        elif segment not in {b"", b"."}:
            kept.append(segment)
    trailing = "/" if kept and raw.endswith(b"/") else ""
    return "/" + "/".join(quote(segment, safe="~") for segment in kept) + trailing


def _query(raw: bytes) -> str:
    """Return the query with names and values encoded by RFC 3986 and sorted, without the signature itself.

    A plus sign is a space: SDKs sign `%20` and send `+`.
    """
    raw = raw.replace(b"+", b"%20")
    pairs = sorted(
        (quote(unquote_to_bytes(name), safe="~"), quote(unquote_to_bytes(value), safe="~"))
        for name, _, value in (pair.partition(b"=") for pair in raw.split(b"&") if pair)
    )
    return "&".join(f"{name}={value}" for name, value in pairs if name != "X-Amz-Signature")
