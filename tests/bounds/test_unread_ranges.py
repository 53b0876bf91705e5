"""A client that asks for a part of a layer and does not read it costs little memory: it is sent in small pieces."""

import asyncio
import base64
import os
from pathlib import Path

from moorage.api.asgi import Message
from moorage.settings import Settings
from tests.registry.pushing import digest_of
from tests.support.in_process import in_process

MOST = 8 << 10


async def test_a_part_is_sent_in_small_pieces_and_only_as_fast_as_it_is_taken(tmp_path: Path) -> None:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as registry:
        oci = await registry.oci()
        content = os.urandom(3 << 20)
        digest = digest_of(content)
        assert (await oci("POST", f"/v2/team/app/blobs/uploads/?digest={digest}", content)).status == 201
        pieces: list[bytes] = []
        takes = asyncio.Semaphore(20)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                pieces.append(message.get("body", b""))
                await takes.acquire()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        sent = {
            "host": "localhost:4580",
            "range": "bytes=1-",
            "authorization": "Basic " + base64.b64encode(f"AWS:{oci.user}".encode()).decode(),
        }
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/v2/team/app/blobs/{digest}",
            "raw_path": f"/v2/team/app/blobs/{digest}".encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
        }
        asked = asyncio.create_task(registry.asgi(scope, receive, send))
        async with asyncio.timeout(60):
            while len(pieces) < 21:  # noqa: ASYNC110 - the application is what is waited for
                await asyncio.sleep(0.01)
        assert len(pieces) == 21  # it waits until the server takes the next one
        for _ in range(1000):
            takes.release()
        await asked
        assert max(map(len, pieces)) <= MOST
        assert b"".join(pieces) == content[1:]
