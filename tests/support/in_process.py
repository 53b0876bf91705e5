"""The whole application in this process: requests come in as ASGI, so bodies can be cut and clients can disconnect."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from moorage.api.asgi import Message, Scope
from moorage.api.router import Router
from moorage.application import Application, Components, Running
from moorage.settings import Settings
from tests.support.oci_asgi import AsgiClient


@dataclass(frozen=True)
class Reply:
    """What the ECR door answered."""

    status: int
    headers: dict[str, str]
    body: bytes
    taken: int = 0
    """Bytes of the request's body that were taken before the answer."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str]:
        """Type, without the name space that only some have, and message."""
        return self.json["__type"].rpartition("#")[2], self.json.get("message", "")


class InProcess:
    """A started application, called without sockets.

    Calls of the ECR API use an open key of dev mode; `oci` returns a client of /v2/ with a registry password.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        self.asgi = application
        self.settings = settings

    @property
    def components(self) -> Components:
        """The stores and the rules over them, for what no API shows."""
        return self._running.components

    @property
    def router(self) -> Router:
        """What the application serves."""
        return self._running.router

    @property
    def _running(self) -> Running:
        running = self.asgi._running
        assert running is not None, "the application has not been started"
        return running

    async def ask(
        self,
        target: str,
        body: bytes | Iterable[bytes],
        *,
        key: str = "test",
        region: str = "us-east-1",
        path: str = "/",
        method: str = "POST",
        service: str = "ecr",
        cut: bool = False,
        **headers: str,
    ) -> Reply:
        """A POST to the ECR door, unless `method` and `path` say otherwise; chunks are taken as they are asked for."""
        scope_of_key = f"{key}/20260101/{region}/{service}/aws4_request"
        sent = {
            "host": "localhost:4580",
            "x-amz-target": f"AmazonEC2ContainerRegistry_V20150921.{target}",
            "x-amz-date": "20260101T000000Z",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope_of_key}, SignedHeaders=host, Signature={'0' * 64}",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        if not target:
            del sent["x-amz-target"]
        if isinstance(body, bytes):
            sent.setdefault("content-length", str(len(body)))
            body = [body]
        pending = iter(body)
        ended = False
        taken = 0

        async def receive() -> Message:
            nonlocal ended, taken
            for chunk in pending:
                taken += 0 if answers else len(chunk)
                return {"type": "http.request", "body": chunk, "more_body": True}
            if cut or ended:
                return {"type": "http.disconnect"}
            ended = True
            return {"type": "http.request", "body": b"", "more_body": False}

        answers: list[Message] = []

        async def send(message: Message) -> None:
            answers.append(message)

        scope: Scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
        }
        await self.asgi(scope, receive, send)
        start, *rest = answers
        given = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], given, b"".join(each.get("body", b"") for each in rest), taken)

    async def ecr(self, operation: str, *, key: str = "test", **members: Any) -> Reply:
        return await self.ask(operation, json.dumps(members).encode(), key=key)

    async def ok(self, operation: str, *, key: str = "test", **members: Any) -> Any:
        reply = await self.ecr(operation, key=key, **members)
        assert reply.status == 200, reply
        return reply.json

    async def oci(self, key: str = "test") -> AsgiClient:
        """The data plane as the holder of a registry password."""
        answer = await self.ok("GetAuthorizationToken", key=key)
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        return AsgiClient(self.asgi, user=token.partition(":")[2])


@contextlib.asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator[InProcess]:
    """The application, started and stopped as a server does it."""
    settings.data.mkdir(parents=True, exist_ok=True)  # the server does that before its workers start
    application = Application(settings)  # not `build`, which sets up this process's logging for good
    to_server: asyncio.Queue[Message] = asyncio.Queue()
    from_server: asyncio.Queue[Message] = asyncio.Queue()
    living = asyncio.create_task(application({"type": "lifespan"}, from_server.get, to_server.put))
    await from_server.put({"type": "lifespan.startup"})
    started = await to_server.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield InProcess(application, settings)
    finally:
        await from_server.put({"type": "lifespan.shutdown"})
        assert (await to_server.get())["type"] == "lifespan.shutdown.complete"
        await living
