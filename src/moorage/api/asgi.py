"""What the applications share of HTTP: bounds on headers, bounded bodies, responses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from moorage.errors import BodyIncomplete, RequestTooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

LONGEST_HEADERS: Final = 64 << 10
"""Bytes of all header values of a request together."""
LONGEST_AUTHORIZATION: Final = 8 << 10
"""Bytes of an Authorization header: several times the longest signature or registry password."""
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 32 << 20
"""How many bytes of a refused body are still read."""


class AccessLine:
    """What an application adds to the line of a request in the access log."""

    __slots__ = ("operation", "principal", "request_id")

    def __init__(self) -> None:
        self.operation: str | None = None
        self.principal: str | None = None
        self.request_id: str | None = None


ACCESS_LINE: Final = "moorage.access_line"
"""The key of the `AccessLine` in the scope of a request, if there is an access log."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request by lower-case name; the last one wins if one is repeated."""
    return dict(scope["headers"])


def content_length(headers: MutableMapping[bytes, bytes]) -> int | None:
    """Return the announced length in bytes; None if the body is chunked. Raise ValueError if it is not a number."""
    text = headers.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit():
        raise ValueError("Content-Length is not a number")
    return int(text)


async def stream_body(receive: Receive, length: int | None) -> AsyncIterator[bytes]:
    """Yield the body as it arrives. Raise BodyIncomplete if the client sends fewer than `length` bytes."""
    received = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyIncomplete
        chunk = message.get("body", b"")
        if chunk:
            received += len(chunk)
            yield chunk
        if not message.get("more_body", False):
            break
    if length is not None and received < length:
        raise BodyIncomplete


async def read_body(receive: Receive, length: int | None, limit: int) -> bytes:
    """Return the whole body. Raise RequestTooLarge as soon as it exceeds `limit` bytes."""
    if length is not None and length > limit:
        raise RequestTooLarge("Request size exceeded")
    chunks: list[bytes] = []
    received = 0
    async for chunk in stream_body(receive, length):
        received += len(chunk)
        if received > limit:
            raise RequestTooLarge("Request size exceeded")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def respond(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_on(scope: Scope, receive: Receive) -> None:
    """Read a little more of a refused body and discard it.

    If the connection is closed while the client is still sending, it is reset, and the client never reads the refusal.
    """
    if scope["method"] not in {"PATCH", "POST", "PUT"}:
        return
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while read < LINGER_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
