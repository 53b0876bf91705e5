"""Uploads: pieces, cuts, digests, and the same bytes twice."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from moorage.errors import (
    BodyIncomplete,
    EmptyUpload,
    InsufficientStorage,
    InvalidLayer,
    InvalidLayerPart,
    LayerAlreadyExists,
    LayerPartTooSmall,
    LayersNotFound,
    LimitExceeded,
    RepositoryNotFound,
    UploadNotFound,
    UploadRangeInvalid,
)
from moorage.names import RepositoryName
from moorage.registry.layers import upload_rules, uploads
from moorage.registry.layers.types import Layer
from moorage.registry.layers.uploads import SMALLEST_PART
from moorage.store.blobs import memory, transfer
from moorage.store.blobs.memory import MemoryBlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.tables import blob_contents, upload_pieces
from tests.registry.pushing import BY, OTHER, REF, Bench, cut, digest_of, stream


@pytest.fixture(params=["small", "growing", "files", "memory", "tiny parts"])
async def bench(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    """Short layers in the metadata, only up to three bytes, all in files; in memory, and there in parts of 4 bytes."""
    small = {"small": 64 * 1024, "growing": 3, "files": 0, "memory": 0, "tiny parts": 3}[request.param]
    blobs = None
    if request.param in {"memory", "tiny parts"}:
        blobs = MemoryBlobStore(tmp_path / "locks")
    if request.param == "tiny parts":
        monkeypatch.setattr(MemoryBlobStore, "part_size", 4)
        for module in (memory, uploads):
            monkeypatch.setattr(module, "LARGEST_PIECE", 2)
    made = Bench.over(database, tmp_path, blobs=blobs, small_layer_bytes=small)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made


@pytest.fixture
async def in_files(database: Database, tmp_path: Path) -> Bench:
    made = Bench.over(database, tmp_path, small_layer_bytes=0)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made


def _also(bench: Bench, **changes: Any) -> Bench:
    return bench.beside(**changes)


async def _bytes(bench: Bench, layer: Layer) -> bytes:
    return b"".join([chunk async for chunk in bench.layers.read(layer, 0, layer.size)])


async def _begun(bench: Bench, *chunks: bytes) -> str:
    upload = await bench.uploads.begin(REF, BY)
    for chunk in chunks:
        await bench.uploads.append(REF, upload.id, stream(chunk))
    return upload.id


async def _kept(bench: Bench) -> list[str]:
    """The kinds of everything whose bytes are kept."""

    def work(conn: Connection) -> list[tuple[str, str]]:
        objects = conn.execute(select(blob_contents.c.digest)).scalars()
        pieces = conn.execute(select(upload_pieces.c.upload_id)).scalars()
        return [("object", each) for each in objects] + [("upload", each) for each in pieces]

    stored = [(each.kind, each.name) async for each in bench.blobs.leftovers()]
    return sorted(kind for kind, _ in {*stored, *await bench.db.read(work)})


async def test_pieces_become_a_layer(bench: Bench) -> None:
    upload_id = await _begun(bench, b"one ", b"two")
    assert (await bench.uploads.status(REF, upload_id)).size == 7
    layer = await bench.uploads.finish(REF, upload_id, digest_of(b"one two"), by=BY, api="oci")
    assert await bench.layers.stat(REF, layer.digest) == layer
    assert await _bytes(bench, layer) == b"one two"
    with pytest.raises(UploadNotFound):
        await bench.uploads.status(REF, upload_id)


async def test_sha512_and_no_bytes_at_all(bench: Bench) -> None:
    upload_id = await _begun(bench, b"content")
    layer = await bench.uploads.finish(REF, upload_id, digest_of(b"content", "sha512"), by=BY, api="oci")
    assert await _bytes(bench, layer) == b"content"
    empty = await bench.uploads.finish(REF, await _begun(bench), digest_of(b""), by=BY, api="oci")
    assert (empty.size, await _bytes(bench, empty)) == (0, b"")


async def test_a_wrong_digest_changes_nothing(bench: Bench) -> None:
    upload_id = await _begun(bench, b"content")
    with pytest.raises(InvalidLayer):
        await bench.uploads.finish(REF, upload_id, digest_of(b"other"), by=BY, api="oci")
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, digest_of(b"content"))
    await bench.uploads.finish(REF, upload_id, digest_of(b"content"), by=BY, api="oci")


async def test_a_body_cut_short_is_resumed_where_it_ended(bench: Bench) -> None:
    upload_id = await _begun(bench, b"12")
    with pytest.raises(ConnectionError):
        await bench.uploads.append(REF, upload_id, cut(b"34", b"5"))
    assert (await bench.uploads.status(REF, upload_id)).size == 5
    with pytest.raises(BodyIncomplete):
        await bench.uploads.append(REF, upload_id, stream(b"6"), length=3)
    await bench.uploads.append(REF, upload_id, stream(b"789"), start=6)
    layer = await bench.uploads.finish(REF, upload_id, digest_of(b"123456789"), by=BY, api="oci")
    assert await _bytes(bench, layer) == b"123456789"


async def test_a_chunk_begins_where_the_upload_ends(bench: Bench) -> None:
    upload_id = await _begun(bench, b"12345")
    for start in (0, 4, 6):
        with pytest.raises(UploadRangeInvalid) as raised:
            await bench.uploads.append(REF, upload_id, stream(b"x"), start=start)
        assert raised.value.offset == 5


async def test_more_than_announced_or_allowed_is_dropped(bench: Bench) -> None:
    small = _also(bench, max_layer_bytes=10)
    upload_id = await _begun(small, b"12345")
    for body, length in ((stream(b"67890", b"1"), None), (stream(b"67"), 1)):
        with pytest.raises(LimitExceeded):
            await small.uploads.append(REF, upload_id, body, length=length)
    assert (await small.uploads.status(REF, upload_id)).size == 5
    layer = await small.uploads.finish(REF, upload_id, digest_of(b"12345"), by=BY, api="oci")
    assert await _bytes(small, layer) == b"12345"


async def test_bytes_that_a_dead_process_left_are_no_part_of_the_layer(in_files: Bench) -> None:
    upload_id = await _begun(in_files, b"known")
    _, staged = await in_files.db.read(lambda conn: upload_rules.find_with_bytes(conn, REF, upload_id))
    assert (await in_files.blobs.append(staged, stream(b" and not noted"))).size == 19
    layer = await in_files.uploads.finish(REF, upload_id, digest_of(b"known"), by=BY, api="oci")
    assert await _bytes(in_files, layer) == b"known"


async def test_bytes_that_a_crash_of_the_machine_took_are_missed(in_files: Bench) -> None:
    upload_id = await _begun(in_files, b"as it was sent")
    (in_files.settings.data / "blobs" / "uploads" / upload_id).write_bytes(b"as it")
    with pytest.raises(UploadNotFound):
        await in_files.uploads.finish(REF, upload_id, digest_of(b"as it was sent"), by=BY, api="oci")
    with pytest.raises(UploadNotFound):
        await in_files.uploads.append(REF, upload_id, stream(b" and more"))


async def test_an_upload_moves_into_the_store_when_it_grows(bench: Bench) -> None:
    bench = _also(bench, small_layer_bytes=8)
    upload_id = await _begun(bench, b"1234", b"5678")
    assert [each.name async for each in bench.blobs.leftovers()] == []
    with pytest.raises(ConnectionError):
        await bench.uploads.append(REF, upload_id, cut(b"9abcdefghij"))
    assert (await bench.uploads.status(REF, upload_id)).size == 19
    assert await _kept(bench) == ["upload"]
    await bench.uploads.append(REF, upload_id, stream(b"k"), start=19)
    layer = await bench.uploads.finish(REF, upload_id, digest_of(b"123456789abcdefghijk"), by=BY, api="oci")
    assert await _bytes(bench, layer) == b"123456789abcdefghijk"
    assert await _kept(bench) == ["object"]


@pytest.mark.parametrize("bench", ["small", "growing", "files"], indirect=True)
async def test_a_full_store_leaves_a_growing_upload_as_it_was(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _also(bench, small_layer_bytes=8)
    upload_id = await _begun(bench, b"12345678")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(transfer, "write_all", full)
    with pytest.raises(InsufficientStorage):
        await bench.uploads.append(REF, upload_id, stream(b"9"))
    monkeypatch.undo()
    assert (await bench.uploads.status(REF, upload_id)).size == 8
    layer = await bench.uploads.finish(REF, upload_id, digest_of(b"12345678"), by=BY, api="oci")
    assert await _bytes(bench, layer) == b"12345678"


async def test_a_layer_in_a_file_serves_small_pushes_of_the_same_bytes(bench: Bench) -> None:
    for first, second in ((0, 8), (8, 0)):
        content = b"%d then %d" % (first, second)
        kept = await _also(bench, small_layer_bytes=first).layer(content)
        again = await _also(bench, small_layer_bytes=second).layer(content, OTHER)
        assert (kept.object_key, await _bytes(bench, again)) == (again.object_key, content)


async def test_another_process_finishes_the_upload(bench: Bench) -> None:
    upload_id = await _begun(bench, b"shared work")
    other = _also(bench)
    layer = await other.uploads.finish(REF, upload_id, digest_of(b"shared work"), by=BY, api="oci")
    assert await _bytes(bench, layer) == b"shared work"
    with pytest.raises(UploadNotFound):
        await bench.uploads.finish(REF, upload_id, digest_of(b"shared work"), by=BY, api="oci")


@pytest.mark.parametrize("bench", ["growing", "files", "memory"], indirect=True)
async def test_a_layer_that_is_there_is_refused_by_any_worker_that_finishes(bench: Bench) -> None:
    """Also by one that has to read the bytes again, because another one appended the last of them."""
    content = bytes(SMALLEST_PART) + b"end"
    await bench.layer(content)
    upload_id = await _begun(bench, bytes(SMALLEST_PART))
    other = _also(bench)
    await other.uploads.append(REF, upload_id, stream(b"end"))
    for worker in (bench, other):
        with pytest.raises(LayerAlreadyExists):
            await worker.uploads.finish(REF, upload_id, digest_of(content), by=BY, api="ecr")
    await bench.uploads.cancel(REF, upload_id)
    assert await _kept(bench) == ["object"]


async def test_two_chunks_at_once(bench: Bench) -> None:
    upload_id = await _begun(bench)
    results = await asyncio.gather(
        bench.uploads.append(REF, upload_id, stream(b"aa"), start=0),
        bench.uploads.append(REF, upload_id, stream(b"bb"), start=0),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Upload", "UploadRangeInvalid"]
    kept = b"bb" if isinstance(results[0], UploadRangeInvalid) else b"aa"  # either may be first in the database
    await bench.uploads.finish(REF, upload_id, digest_of(kept), by=BY, api="oci")


async def test_another_repositorys_upload_is_not_found(bench: Bench) -> None:
    upload_id = await _begun(bench, b"x")
    for attempt in (
        bench.uploads.status(OTHER, upload_id),
        bench.uploads.append(OTHER, upload_id, stream(b"x")),
        bench.uploads.finish(OTHER, upload_id, digest_of(b"x"), by=BY, api="oci"),
        bench.uploads.cancel(OTHER, upload_id),
        bench.uploads.part(OTHER, upload_id, 1, 1, b"x"),
    ):
        with pytest.raises(UploadNotFound):
            await attempt
    with pytest.raises(RepositoryNotFound):
        await bench.uploads.begin(REF._replace(name=RepositoryName("nowhere")), BY)
    assert (await bench.uploads.status(REF, upload_id)).size == 1


async def test_cancel_leaves_nothing(bench: Bench) -> None:
    upload_id = await _begun(bench, b"x")
    await bench.uploads.cancel(REF, upload_id)
    with pytest.raises(UploadNotFound):
        await bench.uploads.append(REF, upload_id, stream(b"y"))
    assert await _kept(bench) == []


async def test_the_same_bytes_are_kept_once_and_belong_to_both(bench: Bench) -> None:
    first = await bench.layer(b"shared")
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(OTHER, first.digest)
    second = await bench.layer(b"shared", OTHER)
    assert second.object_key == first.object_key
    upload_id = await _begun(bench, b"shared")
    assert (await bench.uploads.finish(REF, upload_id, first.digest, by=BY, api="oci")).object_key == first.object_key
    assert await _kept(bench) == ["object"]


async def test_the_same_bytes_at_once(bench: Bench) -> None:
    layers = await asyncio.gather(*(bench.layer(b"same", ref) for ref in (REF, OTHER, REF, OTHER)))
    assert len({layer.object_key for layer in layers}) == 1
    assert await _kept(bench) == ["object"]


async def test_a_failed_put_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(BodyIncomplete):
        await bench.uploads.put(REF, digest_of(b"abc"), stream(b"ab"), length=3, by=BY)
    with pytest.raises(ConnectionError):
        await bench.uploads.put(REF, digest_of(b"abc"), cut(b"ab"), length=3, by=BY)
    with pytest.raises(InvalidLayer):
        await bench.uploads.put(REF, digest_of(b"abc"), stream(b"abd"), length=3, by=BY)
    assert await _kept(bench) == []


async def test_parts_are_consecutive(bench: Bench) -> None:
    upload_id = await _begun(bench)
    await bench.uploads.part(REF, upload_id, 0, 3, b"0123")
    for first, last, data in ((0, 3, b"0123"), (5, 6, b"56"), (4, 6, b"45"), (4, 3, b"")):
        with pytest.raises(InvalidLayerPart) as raised:
            await bench.uploads.part(REF, upload_id, first, last, data)
        assert raised.value.last_valid_byte == 3


@pytest.mark.parametrize("bench", ["small", "growing", "files", "memory"], indirect=True)
async def test_ecr_wants_parts_of_five_mebibytes_but_for_the_last(bench: Bench) -> None:
    big, small = b"x" * SMALLEST_PART, b"y"
    upload_id = await _begun(bench)
    await bench.uploads.part(REF, upload_id, 0, len(big) - 1, big)
    await bench.uploads.part(REF, upload_id, len(big), len(big), small)
    await bench.uploads.finish(REF, upload_id, digest_of(big + small), by=BY, api="ecr")

    upload_id = await _begun(bench)
    await bench.uploads.part(REF, upload_id, 0, 0, small)
    await bench.uploads.part(REF, upload_id, 1, len(big), big)
    with pytest.raises(LayerPartTooSmall):
        await bench.uploads.finish(REF, upload_id, digest_of(small + big), by=BY, api="ecr")
    await bench.uploads.finish(REF, upload_id, digest_of(small + big), by=BY, api="oci")


async def test_what_only_ecr_refuses(bench: Bench) -> None:
    with pytest.raises(EmptyUpload):
        await bench.uploads.finish(REF, await _begun(bench), digest_of(b""), by=BY, api="ecr")
    await bench.layer(b"known")
    with pytest.raises(LayerAlreadyExists):
        await bench.uploads.finish(REF, await _begun(bench, b"known"), digest_of(b"known"), by=BY, api="ecr")
    aws = _also(bench, profile="aws")
    with pytest.raises(EmptyUpload):
        await aws.uploads.finish(REF, await _begun(aws), digest_of(b""), by=BY, api="oci")
    with pytest.raises(EmptyUpload):
        await aws.uploads.put(REF, digest_of(b""), stream(), length=0, by=BY)
    await aws.uploads.finish(REF, await _begun(aws, b"known"), digest_of(b"known"), by=BY, api="oci")
