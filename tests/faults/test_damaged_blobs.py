"""Stored bytes that are gone, cut short or wrong: the next upload of the same digest brings them back."""

import asyncio
import base64
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.errors import LayerAlreadyExists, LayersNotFound
from moorage.registry.images.types import ImageId
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, OTHER, REF, Bench, Rights, digest_of, manifest, stream
from tests.support.ecr_push import MANIFEST, digest
from tests.support.in_process import InProcess
from tests.support.oci_asgi import Answer, AsgiClient

APP, BESIDE = "team/app", "team/beside"
LARGE, SMALL = b"a large layer" * 10_000, b"a small layer"
DESCRIPTOR = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(LARGE), "digest": digest(LARGE)}


def objects(settings: Settings) -> list[Path]:
    return [each for each in (settings.data / "blobs" / "objects").rglob("*") if each.is_file()]


def remove(settings: Settings) -> None:
    for each in objects(settings):
        each.unlink()


def cut_short(settings: Settings) -> None:
    for each in objects(settings):
        each.write_bytes(each.read_bytes()[:1000])


def change_rows(settings: Settings, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(settings.data / "moorage.db")) as connection, connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        assert connection.execute(statement).rowcount > 0


def remove_rows(settings: Settings) -> None:
    change_rows(settings, "DELETE FROM blob_contents")


def cut_rows(settings: Settings) -> None:
    change_rows(settings, "UPDATE blob_contents SET content = substr(content, 1, 4)")


def flip_rows(settings: Settings) -> None:
    change_rows(settings, "UPDATE blob_contents SET content = CAST(replace(content, 'small', 'SMALL') AS BLOB)")


Damage = Callable[[Settings], None]


async def harm(registry: InProcess, damage: Damage) -> None:
    damage(registry.settings)
    await asyncio.sleep(0)  # reads of one turn of the event loop share a snapshot


damaged = pytest.mark.parametrize(
    ("content", "damage"),
    [(LARGE, remove), (LARGE, cut_short), (SMALL, remove_rows), (SMALL, cut_rows)],
    ids=["no file", "short file", "no row", "short row"],
)


async def at_once(oci: AsgiClient, name: str, content: bytes) -> Answer:
    return await oci("POST", f"/v2/{name}/blobs/uploads/?digest={digest(content)}", content)


async def in_pieces(oci: AsgiClient, name: str, content: bytes) -> Answer:
    location = (await oci("POST", f"/v2/{name}/blobs/uploads/")).headers["location"]
    location = (await oci("PATCH", location, content)).headers["location"]
    return await oci("PUT", f"{location}?digest={digest(content)}")


async def by_the_ecr_api(registry: InProcess, name: str, content: bytes) -> None:
    where = {"repositoryName": name}
    where["uploadId"] = (await registry.ok("InitiateLayerUpload", **where))["uploadId"]
    part = base64.b64encode(content).decode()
    await registry.ok("UploadLayerPart", **where, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=part)
    await registry.ok("CompleteLayerUpload", **where, layerDigests=[digest(content)])


async def availability(registry: InProcess, content: bytes) -> str:
    answer = await registry.ok("BatchCheckLayerAvailability", repositoryName=APP, layerDigests=[digest(content)])
    return str(answer["layers"][0]["layerAvailability"])


@damaged
@pytest.mark.parametrize("push", [at_once, in_pieces])
@pytest.mark.parametrize("to", [APP, BESIDE])
async def test_the_next_push_repairs_it(
    registry: InProcess, content: bytes, damage: Damage, push: Callable[..., object], to: str
) -> None:
    oci = await registry.oci()
    path = f"/v2/{APP}/blobs/{digest(content)}"
    for each in (LARGE, SMALL):
        assert (await at_once(oci, APP, each)).status == 201
    assert (await oci("HEAD", path)).status == 200
    await harm(registry, damage)
    # A client that asks first must learn that it has to send the bytes again.
    assert (await oci("HEAD", path)).status == 404
    assert await availability(registry, content) == "UNAVAILABLE"
    pushed: Answer = await push(oci, to, content)  # type: ignore[misc]
    assert pushed.status == 201
    for name in {APP, to}:
        got = await oci("GET", f"/v2/{name}/blobs/{digest(content)}")
        assert (got.status, got.body) == (200, content)
    assert (await oci("HEAD", path)).status == 200
    assert await availability(registry, content) == "AVAILABLE"
    assert len(objects(registry.settings)) == (1 if damage is not remove or content == LARGE else 0)


@damaged
async def test_the_ecr_api_repairs_it_too(registry: InProcess, content: bytes, damage: Damage) -> None:
    oci = await registry.oci()
    await registry.ok("CreateRepository", repositoryName=APP)
    for each in (LARGE, SMALL):
        await by_the_ecr_api(registry, APP, each)
    await harm(registry, damage)
    await by_the_ecr_api(registry, APP, content)
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest(content)}")).body == content


@damaged
async def test_it_is_not_mounted(registry: InProcess, content: bytes, damage: Damage) -> None:
    oci = await registry.oci()
    for each in (LARGE, SMALL):
        await at_once(oci, APP, each)
    await harm(registry, damage)
    for query in (f"mount={digest(content)}&from={APP}", f"mount={digest(content)}"):
        assert (await oci("POST", f"/v2/{BESIDE}/blobs/uploads/?{query}")).status == 202


async def test_a_small_one_with_wrong_bytes_is_repaired(registry: InProcess) -> None:
    """Nobody has found the damage before: comparing what is at hand costs nothing."""
    oci = await registry.oci()
    await at_once(oci, APP, SMALL)
    await harm(registry, flip_rows)
    assert (await at_once(oci, BESIDE, SMALL)).status == 201
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest(SMALL)}")).body == SMALL


async def test_an_image_is_whole_again_after_a_push_of_its_layers(registry: InProcess) -> None:
    oci = await registry.oci()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/json", "size": len(SMALL), "digest": digest(SMALL)},
            "layers": [DESCRIPTOR],
        }
    ).encode()
    for each in (SMALL, LARGE):
        await at_once(oci, APP, each)
    assert (await oci("PUT", f"/v2/{APP}/manifests/v1", manifest, content_type=MANIFEST)).status == 201
    await harm(registry, remove)
    for each in (SMALL, LARGE):  # as a client does it: ask, and send what is not there
        if (await oci("HEAD", f"/v2/{APP}/blobs/{digest(each)}")).status == 404:
            assert (await at_once(oci, APP, each)).status == 201
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest(LARGE)}")).body == LARGE


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    made = Bench.over(database, tmp_path, small_layer_bytes=100)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made


async def read(bench: Bench, content: bytes) -> bytes:
    layer = await bench.layers.stat(REF, digest_of(content))
    return b"".join([chunk async for chunk in bench.layers.read(layer, 0, layer.size)])


@pytest.mark.parametrize("content", [LARGE, SMALL], ids=["large", "small"])
async def test_what_was_found_damaged_is_set_aside_and_replaced(bench: Bench, content: bytes) -> None:
    """As `moorage fsck` does it with bytes of the right length that have another digest."""
    layer = await bench.layer(content)
    path = bench.layers.local_path(layer)
    if path is not None:
        path.write_bytes(content.replace(b"layer", b"LAYER"))
    assert await bench.layers.set_aside(layer.digest)
    assert not await bench.layers.set_aside(layer.digest)
    with pytest.raises(LayersNotFound):
        await bench.layers.present(REF, layer.digest)
    assert await bench.layers.mount(OTHER, layer.digest, Rights(), by=BY, source=REF) is None
    await bench.layer(content, OTHER)
    await bench.layers.present(REF, layer.digest)
    assert await read(bench, content) == content
    aside = [each.read_bytes() for each in (bench.settings.data / "blobs" / "damaged").rglob("*") if each.is_file()]
    assert aside == ([content.replace(b"layer", b"LAYER")] if content == LARGE else [])


async def test_what_is_whole_is_kept(bench: Bench) -> None:
    for content in (LARGE, SMALL):
        first = await bench.layer(content)
        again = await bench.layer(content, OTHER)
        assert again.object_key == first.object_key
        upload = await bench.uploads.begin(REF, BY)
        await bench.uploads.append(REF, upload.id, stream(content))
        with pytest.raises(LayerAlreadyExists):
            await bench.uploads.finish(REF, upload.id, digest_of(content), by=BY, api="ecr")


@pytest.mark.parametrize("first", [0, 1 << 20])
async def test_a_repair_by_a_worker_with_another_limit_of_small_layers(bench: Bench, first: int) -> None:
    """The setting has changed since the layer was pushed, so its bytes are kept in the other place from now on."""
    content = b"between" * 100
    before = Bench.over(bench.db, bench.settings.data, small_layer_bytes=first)
    now = Bench.over(bench.db, bench.settings.data, small_layer_bytes=0 if first else 1 << 20)
    layer = await before.layer(content)
    await before.layers.set_aside(layer.digest)
    await now.layer(content)
    repaired = await now.layers.stat(REF, layer.digest)
    assert (repaired.object_key == "") != (layer.object_key == "")
    assert await read(now, content) == content
    await now.layers.present(REF, layer.digest)


@pytest.mark.parametrize("content", [LARGE, SMALL], ids=["large", "small"])
async def test_a_layer_that_is_hidden_can_be_completed(bench: Bench, content: bytes) -> None:
    """It was deleted while a deleted image names it: the ECR API says that it is not there, and takes it again."""
    layer = await bench.layer(content)
    await bench.layer(b"config")
    put = await bench.push(manifest(b"config", content))
    await bench.images.batch_delete(REF, [ImageId(put.manifest.digest)], by=BY, api="ecr")
    await bench.layers.delete(REF, layer.digest, BY)
    assert [each.available for each in (await bench.layers.availability(REF, [layer.digest]))[0]] == [False]
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(content))
    await bench.uploads.finish(REF, upload.id, layer.digest, by=BY, api="ecr")
    await bench.layers.present(REF, layer.digest)
