"""The part of HTTP that the doors share: bounds of headers, reading a bounded body, writing an answer."""

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
"""How much of a refused body is read on."""


class AccessLine:
    """What a door adds to the line of a request in the access log."""

    __slots__ = ("operation", "principal", "request_id")

    def __init__(self) -> None:
        self.operation: str | None = None
        self.principal: str | None = None
        self.request_id: str | None = None


ACCESS_LINE: Final = "moorage.access_line"
"""Where a scope has the `AccessLine` of its request, when there is an access log."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by lower-case name; the last of a repeated one."""
    return dict(scope["headers"])


def content_length(headers: MutableMapping[bytes, bytes]) -> int | None:
    """The announced length in bytes; None when the body is chunked. ValueError when it is no number."""
    text = headers.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit():
        raise ValueError("Content-Length is not a number")
    return int(text)


async def stream_body(receive: Receive, length: int | None) -> AsyncIterator[bytes]:
    """The body as it arrives. BodyIncomplete when the client leaves, or sends fewer bytes than `length`."""
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
    """The whole body; RequestTooLarge as soon as it is known to be over `limit` bytes."""
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
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_on(scope: Scope, receive: Receive) -> None:
    """Take in a little more of a refused body, and throw it away.

    A connection closed under a client that is still sending is reset, and the client never reads why it was refused.
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
