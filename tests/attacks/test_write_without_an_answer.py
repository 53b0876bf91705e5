"""A client that leaves before it is answered: what it changed is in the audit record as changed, not as failed."""

from pathlib import Path
from typing import Any

import pytest

from moorage.api.asgi import Message
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import EventFilter
from tests.support.ecr_push import digest
from tests.support.in_process import InProcess, in_process


class Gone(OSError):
    """The client's end of the connection is closed."""


async def leave(server: InProcess, method: str, path: str, body: bytes = b"") -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Message) -> None:
        raise Gone

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [
            (b"host", b"localhost:4580"),
            (b"authorization", b"Basic dGVzdDp0ZXN0"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 50000),
    }
    with pytest.raises(Gone):
        await server.asgi(scope, receive, send)


async def test_writes_are_recorded_as_what_they_were(tmp_path: Path) -> None:
    content = b"layer"
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as server:
        await leave(server, "POST", f"/v2/team/app/blobs/uploads/?digest={digest(content)}", content)
        assert (await (await server.oci())("GET", f"/v2/team/app/blobs/{digest(content)}")).body == content
        parts = server.components
        await parts.recorder.flush()
        events = (await parts.audit.events("000000000000", EventFilter(name="CompleteLayerUpload"))).rows
        assert [(each.verdict, each.error_code) for each in events] == [("allowed", None)]
