"""A client that speaks ASGI to a door, without sockets."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from moorage.api.asgi import Message, Receive, Scope, Send


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    path: str | None = None
    """The file the server was asked to send."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The one error code of the body."""
        (error,) = self.json["errors"]
        return str(error["code"])

    @property
    def message(self) -> str:
        (error,) = self.json["errors"]
        return str(error["message"])


class AsgiClient:
    """Asks one application. `user` is sent as Basic credentials; None sends none."""

    def __init__(self, application: Any, *, user: str | None = "tester", host: str = "localhost:4580") -> None:
        self._application = application
        self.user = user
        self.host = host

    def as_user(self, user: str | None, host: str | None = None) -> "AsgiClient":
        return AsgiClient(self._application, user=user, host=host or self.host)

    async def __call__(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        cut: bool = False,
        pathsend: bool = False,
        streamed: bool = False,
        extra: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Answer:
        """One request. `cut`: the client leaves after the body given. `streamed`: no Content-Length."""
        path, _, query = url.partition("?")
        sent = {name.lower().replace("_", "-"): value for name, value in (headers | dict(extra or {})).items()}
        sent.setdefault("host", self.host)
        if self.user is not None:
            sent["authorization"] = "Basic " + base64.b64encode(f"AWS:{self.user}".encode()).decode()
        if streamed or not isinstance(body, bytes):
            sent.setdefault("transfer-encoding", "chunked")
        if isinstance(body, bytes):
            if body and not streamed:
                sent.setdefault("content-length", str(len(body)))
            body = [body]
        pending = _messages(iter(body), cut=cut)

        async def receive() -> Message:
            return next(pending, {"type": "http.disconnect"})

        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 4580),
            "extensions": {"http.response.pathsend": {}} if pathsend else {},
        }
        return await _run(self._application, scope, receive)


def _messages(chunks: Iterator[bytes], *, cut: bool) -> Iterator[Message]:
    """The chunks, each taken only when it is asked for, and an end unless the client is cut off."""
    for chunk in chunks:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    if not cut:
        yield {"type": "http.request", "body": b"", "more_body": False}


async def _run(application: Any, scope: Scope, receive: Receive) -> Answer:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    sender: Send = send
    await application(scope, receive, sender)
    start, *rest = messages
    assert start["type"] == "http.response.start"
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"]), "a header was sent twice"
    path = next((message["path"] for message in rest if message["type"] == "http.response.pathsend"), None)
    body = b"".join(message.get("body", b"") for message in rest)
    if path is None and scope["method"] != "HEAD" and start["status"] not in {204, 304}:
        assert int(headers["content-length"]) == len(body)
    assert headers["docker-distribution-api-version"] == "registry/2.0"
    return Answer(start["status"], headers, body, path)
