"""Clients that ask for a part of a layer and do not read it cost little memory: it is sent in small pieces."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.api.asgi import Message
from moorage.api.oci.streams import FEW, LARGE_PIECE, SMALL_PIECE
from moorage.settings import Settings
from tests.registry.pushing import digest_of
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import AsgiClient

QUEUED = 20
"""Messages that the server of this test takes from the application before it waits for its client."""


class Reader:
    """A client that reads a range of a blob only as fast as the test allows."""

    def __init__(self, registry: InProcess, oci: AsgiClient, digest: str) -> None:
        self.pieces: list[bytes] = []
        self._takes = asyncio.Semaphore(QUEUED)
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
        self.done = asyncio.create_task(registry.asgi(scope, self._receive, self._send))

    async def waits(self) -> None:
        """Wait until the application waits for the server to take the next message."""
        async with asyncio.timeout(60):
            while len(self.pieces) <= QUEUED:  # noqa: ASYNC110 - the application is what is waited for
                await asyncio.sleep(0.01)

    def read_everything(self) -> None:
        for _ in range(100_000):
            self._takes.release()

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.pieces.append(message.get("body", b""))
            await self._takes.acquire()

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}


@contextlib.asynccontextmanager
async def blob(data: Path) -> AsyncIterator[tuple[InProcess, AsgiClient, bytes, str]]:
    async with in_process(Settings(mode="dev", data=data)) as registry:
        oci = await registry.oci()
        content = os.urandom(3 << 20)
        digest = digest_of(content)
        assert (await oci("POST", f"/v2/team/app/blobs/uploads/?digest={digest}", content)).status == 201
        yield registry, oci, content, digest


async def test_a_part_is_sent_in_small_pieces_and_only_as_fast_as_it_is_taken(tmp_path: Path) -> None:
    async with blob(tmp_path / "data") as (registry, oci, content, digest):
        reader = Reader(registry, oci, digest)
        await reader.waits()
        assert len(reader.pieces) == QUEUED + 1  # it waits until the server takes the next one
        reader.read_everything()
        await reader.done
        assert max(map(len, reader.pieces)) <= LARGE_PIECE
        assert b"".join(reader.pieces) == content[1:]


async def test_beyond_a_few_streams_at_most_64_kib_of_each_are_queued(tmp_path: Path) -> None:
    async with blob(tmp_path / "data") as (registry, oci, content, digest):
        readers = [Reader(registry, oci, digest) for _ in range(FEW + 3)]
        for reader in readers:
            await reader.waits()
        small = [reader for reader in readers if max(map(len, reader.pieces)) <= SMALL_PIECE]
        assert len(small) == 3
        assert SMALL_PIECE * 27 <= 64 << 10
        small[0].read_everything()
        await small[0].done
        assert b"".join(small[0].pieces) == content[1:]
        for reader in readers:
            reader.done.cancel()
        await asyncio.gather(*(reader.done for reader in readers), return_exceptions=True)
        last = Reader(registry, oci, digest)  # the others have ended, so this one gets large pieces again
        await last.waits()
        assert max(map(len, last.pieces)) == LARGE_PIECE
        last.read_everything()
        await last.done


@pytest.mark.parametrize("span", ["bytes=0-0", "bytes=16383-16384", "bytes=5-40000", "bytes=-1"])
async def test_small_pieces_have_the_bytes_of_the_range(
    tmp_path: Path, span: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.api.oci.streams.FEW", 0)
    async with blob(tmp_path / "data") as (_, oci, content, digest):
        answer = await oci("GET", f"/v2/team/app/blobs/{digest}", range=span)
        first, _, last = span.removeprefix("bytes=").partition("-")
        expected = content[int(first) : int(last) + 1] if first else content[-int(last) :]
        assert (answer.status, answer.body) == (206, expected)
