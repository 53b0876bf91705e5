"""Uploads whose client has stopped sending: they hold nobody up, and destroy nothing that was acknowledged."""

import asyncio
import base64
import contextlib
import http.client
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moorage.errors import InvalidLayer, UploadBusy, UploadNotFound, UploadRangeInvalid, UploadTakenOver
from moorage.registry.layers import uploads
from moorage.registry.layers.uploads import Upload
from moorage.store.blobs import locks
from moorage.store.blobs.memory import MemoryBlobStore
from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, REF, Bench, digest_of, stream
from tests.support.ecr_push import digest
from tests.support.server_process import ServerProcess
from tests.support.sweep import Sweep

MIB = 1 << 20
FIRST, SECOND = b"first" * 100_000, b"second" * 100_000


@pytest.fixture(params=["the same worker", "another worker", "in memory"])
async def workers(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Bench, Bench]:
    """The worker that the first client talks to, and the one that the second client talks to."""
    monkeypatch.setattr(locks, "STALLED_SECONDS", 0.05)
    monkeypatch.setattr(locks, "_CHECK_SECONDS", 0.01)
    blobs = None
    if request.param == "in memory":
        blobs = MemoryBlobStore(tmp_path / "locks")
        monkeypatch.setattr(uploads, "LARGEST_PIECE", 0)  # a few bytes go to the store as well, under the lock
    one = Bench.over(database, tmp_path, blobs=blobs, small_layer_bytes=1000)
    await one.repositories.create(REF, by=BY)
    return one, one if request.param == "the same worker" else one.beside()


@dataclass
class Stalled:
    """A body that stops after its chunks, until its connection is closed."""

    chunks: tuple[bytes, ...]
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def body(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        self.sent.set()
        await self.closed.wait()
        raise ConnectionError


async def stalls(bench: Bench, upload: Upload, *chunks: bytes) -> tuple[Stalled, asyncio.Task[Upload]]:
    """An append to the upload, which is under way and has stalled."""
    stalled = Stalled(chunks)
    appending = asyncio.create_task(bench.uploads.append(REF, upload.id, stalled.body()))
    await stalled.sent.wait()
    return stalled, appending


async def bytes_of(bench: Bench, content: bytes) -> bytes:
    layer = await bench.layers.stat(REF, digest_of(content))
    return b"".join([chunk async for chunk in bench.layers.read(layer, 0, layer.size)])


@pytest.mark.parametrize("arrived", [b"", b"few", bytes(2000), FIRST, FIRST + bytes(3 * MIB)], ids=len)
async def test_a_dead_connection_destroys_nothing(workers: tuple[Bench, Bench], arrived: bytes) -> None:
    """However much of it has arrived when it is overtaken: in memory, on its way to the disk, or there."""
    first, second = workers
    upload = await first.uploads.begin(REF, BY)
    stalled, appending = await stalls(first, upload, arrived)
    assert (await second.uploads.append(REF, upload.id, stream(SECOND), start=0)).size == len(SECOND)
    stalled.closed.set()
    with contextlib.suppress(ConnectionError, UploadRangeInvalid):
        await appending
    assert (await first.uploads.status(REF, upload.id)).size == len(SECOND)
    await second.uploads.append(REF, upload.id, stream(b"!"), start=len(SECOND))
    await second.uploads.finish(REF, upload.id, digest_of(SECOND + b"!"), by=BY, api="oci")
    assert await bytes_of(first, SECOND + b"!") == SECOND + b"!"


async def test_what_was_acknowledged_before_is_kept(workers: tuple[Bench, Bench]) -> None:
    first, second = workers
    upload = await first.uploads.begin(REF, BY)
    await first.uploads.append(REF, upload.id, stream(FIRST))
    _, appending = await stalls(first, upload, b"dropped")
    await second.uploads.append(REF, upload.id, stream(SECOND), start=len(FIRST))
    with pytest.raises(UploadTakenOver) as refused:
        await appending
    assert refused.value.offset == len(FIRST)
    await first.uploads.finish(REF, upload.id, digest_of(FIRST + SECOND), by=BY, api="oci")


async def test_a_finish_takes_over(workers: tuple[Bench, Bench]) -> None:
    first, second = workers
    upload = await first.uploads.begin(REF, BY)
    await first.uploads.append(REF, upload.id, stream(FIRST))
    _, appending = await stalls(first, upload, b"dropped")
    await second.uploads.finish(REF, upload.id, digest_of(FIRST), by=BY, api="oci")
    with pytest.raises(UploadTakenOver):
        await appending
    assert await bytes_of(second, FIRST) == FIRST


@pytest.mark.parametrize("arrived", [b"few", FIRST], ids=len)
async def test_a_cancel_waits_for_nobody(workers: tuple[Bench, Bench], arrived: bytes) -> None:
    first, second = workers
    upload = await first.uploads.begin(REF, BY)
    stalled, appending = await stalls(first, upload, arrived)
    await second.uploads.cancel(REF, upload.id)
    stalled.closed.set()
    with pytest.raises((UploadNotFound, ConnectionError)):
        await appending
    with pytest.raises(UploadNotFound):
        await second.uploads.status(REF, upload.id)
    assert [each async for each in first.blobs.leftovers()] == []


async def test_a_canceled_upload_takes_no_more_bytes(workers: tuple[Bench, Bench]) -> None:
    first, second = workers
    upload = await first.uploads.begin(REF, BY)

    async def body() -> AsyncIterator[bytes]:
        yield bytes(2 * MIB)
        await second.uploads.cancel(REF, upload.id)
        for _ in range(100):
            yield bytes(MIB)
        raise AssertionError("it was asked for more")

    with pytest.raises(UploadNotFound):
        await first.uploads.append(REF, upload.id, body())
    assert [each async for each in first.blobs.leftovers()] == []


async def test_one_that_flows_is_not_taken_over(workers: tuple[Bench, Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "STALLED_SECONDS", 60.0)
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.2)
    first, second = workers
    upload = await first.uploads.begin(REF, BY)
    stalled, appending = await stalls(first, upload, FIRST)
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: second.uploads.append(REF, upload.id, stream(SECOND)),
        lambda: second.uploads.append(REF, upload.id, stream(SECOND), start=0),
    ]
    for attempt in attempts:
        with pytest.raises(UploadBusy):
            await attempt()
    with pytest.raises(InvalidLayer):  # nothing of it is recorded yet
        await second.uploads.finish(REF, upload.id, digest_of(FIRST), by=BY, api="oci")
    stalled.closed.set()
    with pytest.raises(ConnectionError):
        await appending
    await second.uploads.finish(REF, upload.id, digest_of(FIRST), by=BY, api="oci")


async def test_an_upload_that_flows_does_not_expire(workers: tuple[Bench, Bench]) -> None:
    first, second = workers
    sweep = Sweep(second.db, second.blobs, second.images, second.clock, second.settings)
    upload = await first.uploads.begin(REF, BY)
    await first.uploads.append(REF, upload.id, stream(bytes(50_000)))

    async def body() -> AsyncIterator[bytes]:
        for number in range(6):
            for bench in {id(each): each for each in workers}.values():
                bench.clock.set(bench.clock.now() + bench.settings.upload_seconds * 0.6)
            yield b"%d" % number
            await sweep.run_once(search=False)

    appended = await first.uploads.append(REF, upload.id, body())
    content = bytes(50_000) + b"012345"
    assert appended.size == len(content)
    await second.uploads.finish(REF, upload.id, digest_of(content), by=BY, api="oci")


# --- over HTTP, with real connections ---

BASIC = {"Authorization": "Basic " + base64.b64encode(b"test:any").decode()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("stalled") / "data", "--workers", "2").start()
    yield running
    assert running.stop() == 0


def ask(server: ServerProcess, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, BASIC | {name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def stalled_patch(server: ServerProcess, location: str, arrived: int) -> socket.socket:
    """A connection that has sent so much of a megabyte."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = f"PATCH {location} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BASIC['Authorization']}\r\n"
    connection.sendall(f"{head}Content-Length: {MIB}\r\n\r\n".encode() + bytes(arrived))
    return connection


@pytest.mark.parametrize("arrived", [1000, 200_000])
def test_another_connection_goes_on_where_one_stalls(server: ServerProcess, arrived: int) -> None:
    """Often enough that both workers are asked, as good as surely."""
    for number in range(8):
        content = b"%d" % number + os.urandom(300_000)
        location = ask(server, "POST", "/v2/stalled/app/blobs/uploads/").headers["Location"]
        connection = stalled_patch(server, location, arrived)
        time.sleep(0.1)
        patched = ask(server, "PATCH", location, content, Content_Range=f"0-{len(content) - 1}")
        assert patched.status == 202
        connection.close()
        status = ask(server, "GET", location)
        assert status.headers["Range"] == f"0-{len(content) - 1}"
        assert ask(server, "PUT", f"{location}?digest={digest(content)}").status == 201


def test_an_upload_whose_connection_stalls_can_be_canceled(server: ServerProcess) -> None:
    for _ in range(8):
        location = ask(server, "POST", "/v2/stalled/app/blobs/uploads/").headers["Location"]
        with stalled_patch(server, location, 200_000):
            time.sleep(0.1)
            assert ask(server, "DELETE", location).status == 204
            assert ask(server, "GET", location).status == 404


def test_whoever_stalled_is_told_where_the_upload_ends(server: ServerProcess) -> None:
    location = ask(server, "POST", "/v2/stalled/app/blobs/uploads/").headers["Location"]
    with stalled_patch(server, location, 200_000) as connection:
        time.sleep(0.1)
        assert ask(server, "PATCH", location, bytes(70_000)).status == 202
        connection.settimeout(60)
        answer = connection.recv(10_000).decode()
    assert answer.startswith("HTTP/1.1 416")
    assert "because this one had stopped sending" in answer
