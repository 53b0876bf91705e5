"""Requests that a well-behaved client never sends, handed to the application as ASGI."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moorage.api.asgi import Message, Scope
from moorage.application import Application

HOST = ("host", "localhost:4580")


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code, in the form of whichever door answered."""
        said = self.json
        if "errors" in said:
            return str(said["errors"][0]["code"])
        return str(said["__type"]).rpartition("#")[2]


async def ask(
    application: Application,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str]] = (HOST,),
    body: bytes = b"",
    *,
    query: bytes = b"",
    client: str = "127.0.0.1",
) -> Answer:
    """One request with exactly these headers, repeated ones too."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 4580),
    }
    await application(scope, receive, send)
    start, *rest = sent
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(each.get("body", b"") for each in rest),
    )


def signed_as(key: str, target: str, *more: tuple[str, str], host: str = "localhost:4580") -> list[tuple[str, str]]:
    """Headers of a call of the ECR API with an open key of dev mode, which nobody verifies."""
    scope = f"{key}/20260101/us-east-1/ecr/aws4_request"
    return [
        ("host", host),
        ("x-amz-target", f"AmazonEC2ContainerRegistry_V20150921.{target}"),
        ("x-amz-date", "20260101T000000Z"),
        ("authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"),
        *more,
    ]
