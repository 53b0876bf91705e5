"""kill -9, or a failed transaction, when an upload's file is an object already: it can still be finished."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import InsufficientStorage, UploadNotFound
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, REF, Bench, digest_of, stream
from tests.support.ecr_push import digest
from tests.support.in_process import in_process
from tests.support.oci_asgi import AsgiClient
from tests.support.sweep import Sweep

CONTENT = b"0123456789" * 20_000

_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from moorage.settings import Settings
from tests.support.ecr_push import digest
from tests.faults.test_kill_before_commit import CONTENT
from tests.support.in_process import in_process

rename = Path.replace

def rename_and_die(self, target):
    rename(self, target)
    if Path(target).parent.parent.name == "objects":
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = Settings(mode="dev", data=Path(sys.argv[1]), database_url=sys.argv[2] or None)
    async with in_process(settings) as registry:
        oci = await registry.oci()
        location = (await oci("POST", "/v2/team/app/blobs/uploads/")).headers["location"]
        await oci("PATCH", location, CONTENT)
        print(location, flush=True)
        Path.replace = rename_and_die
        await oci("PUT", f"{location}?digest={digest(CONTENT)}")

asyncio.run(main())
"""


@pytest.fixture
async def killed(database_settings: Settings) -> tuple[Settings, str]:
    """The data of a server that was killed while it finished an upload, and where the upload is."""
    settings = replace(database_settings, mode="dev")
    arguments = [str(settings.data), settings.database_url or ""]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, *arguments, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    output, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    return settings, output.decode().strip()


@pytest.fixture
async def restarted(killed: tuple[Settings, str]) -> AsyncIterator[tuple[AsgiClient, str]]:
    settings, location = killed
    assert list((settings.data / "blobs" / "uploads").iterdir()) == []
    async with in_process(settings) as registry:
        yield await registry.oci(), location


async def test_it_is_finished(restarted: tuple[AsgiClient, str]) -> None:
    oci, location = restarted
    path = f"/v2/team/app/blobs/{digest(CONTENT)}"
    assert (await oci("HEAD", path)).status == 404
    status = await oci("GET", location)
    assert (status.status, status.headers["range"]) == (204, f"0-{len(CONTENT) - 1}")
    assert (await oci("PUT", f"{location}?digest={digest(CONTENT)}")).status == 201
    assert (await oci("GET", path)).body == CONTENT
    assert (await oci("GET", location)).status == 404


async def test_it_is_resumed(restarted: tuple[AsgiClient, str]) -> None:
    oci, location = restarted
    assert (await oci("PATCH", location, b"!", content_range=f"{len(CONTENT)}-{len(CONTENT)}")).status == 202
    assert (await oci("PUT", f"{location}?digest={digest(CONTENT)}")).status == 400
    assert (await oci("PUT", f"{location}?digest={digest(CONTENT + b'!')}")).status == 201
    assert (await oci("GET", f"/v2/team/app/blobs/{digest(CONTENT + b'!')}")).body == CONTENT + b"!"


async def test_it_is_canceled(restarted: tuple[AsgiClient, str]) -> None:
    oci, location = restarted
    assert (await oci("DELETE", location)).status == 204
    assert (await oci("GET", location)).status == 404


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    made = Bench.over(database, tmp_path, small_layer_bytes=0)
    await made.repositories.create(REF, by=BY)
    return made


async def test_a_failed_transaction_leaves_an_upload_that_can_be_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(CONTENT))
    transaction = bench.db.transaction
    calls = 0

    async def failing(work: Any, *, durable: bool = True, **how: Any) -> Any:
        nonlocal calls
        calls += durable
        if durable and calls == 2:
            raise InsufficientStorage
        return await transaction(work, durable=durable, **how)

    monkeypatch.setattr(bench.db, "transaction", failing)
    with pytest.raises(InsufficientStorage):
        await bench.uploads.finish(REF, upload.id, digest_of(CONTENT), by=BY, api="oci")
    monkeypatch.undo()
    assert [each.kind async for each in bench.blobs.leftovers()] == ["object"]
    # The sweep knows that it is an upload's.
    sweep = Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings)
    for _ in range(3):
        bench.clock.set(bench.clock.now() + 2 * 3600)
        await sweep.run_once()
    layer = await bench.uploads.finish(REF, upload.id, digest_of(CONTENT), by=BY, api="oci")
    assert b"".join([chunk async for chunk in bench.layers.read(layer, 0, layer.size)]) == CONTENT


async def test_a_transaction_that_committed_without_an_answer_is_not_undone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the database breaks after its COMMIT: the layer is there, and stays."""
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(CONTENT))
    transaction = bench.db.transaction

    async def failing(work: Any, **how: Any) -> Any:
        result = await transaction(work, **how)
        if type(result).__name__ == "Layer":
            raise ConnectionError
        return result

    monkeypatch.setattr(bench.db, "transaction", failing)
    with pytest.raises(ConnectionError):
        await bench.uploads.finish(REF, upload.id, digest_of(CONTENT), by=BY, api="oci")
    monkeypatch.undo()
    with pytest.raises(UploadNotFound):
        await bench.uploads.finish(REF, upload.id, digest_of(CONTENT), by=BY, api="oci")
    layer = await bench.layers.stat(REF, digest_of(CONTENT))
    assert b"".join([chunk async for chunk in bench.layers.read(layer, 0, layer.size)]) == CONTENT


async def test_an_upload_that_expires_between_is_no_layer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended by the sweep or a cancel while its file becomes an object: nothing is left of it."""
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(CONTENT))
    rename = Path.replace

    def rename_and_cancel(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        asyncio.run_coroutine_threadsafe(bench.uploads.cancel(REF, upload.id), loop).result(30)
        return moved

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Path, "replace", rename_and_cancel)
    with pytest.raises(UploadNotFound):
        await bench.uploads.finish(REF, upload.id, digest_of(CONTENT), by=BY, api="oci")
    monkeypatch.undo()
    assert [each async for each in bench.blobs.leftovers()] == []
