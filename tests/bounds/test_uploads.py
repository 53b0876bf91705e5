"""Open uploads: how many there may be, how many bytes, and how often one may be finished with a wrong digest."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from moorage.errors import InvalidLayer, TooManyUploads, UploadNotFound
from moorage.names import AccountId
from moorage.registry.layers.uploads import MOST_FAILED_FINISHES
from moorage.settings import Settings
from moorage.store.blobs.memory import MemoryBlobStore
from moorage.store.blobs.reading import digest_of_object
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.tables import finished_uploads, uploads, usage
from tests.registry.pushing import BY, OTHER, REF, Bench, cut, digest_of, stream
from tests.support.in_process import InProcess, in_process
from tests.support.sweep import Sweep

MIB = 1 << 20
APP, BESIDE = "team/app", "team/beside"


@pytest.fixture
async def registry(database_settings: Settings) -> AsyncIterator[InProcess]:
    """Three open uploads a repository, four an account."""
    limits = replace(database_settings, mode="dev", uploads_per_repository=3, uploads_per_account=4)
    async with in_process(limits) as made:
        for name in (APP, BESIDE):
            await made.ok("CreateRepository", repositoryName=name)
        yield made


@pytest.fixture(params=["small", "files", "memory"])
async def bench(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    blobs = MemoryBlobStore(tmp_path / "locks") if request.param == "memory" else None
    small = 64 * 1024 if request.param == "small" else 0
    made = Bench.over(database, tmp_path, blobs=blobs, small_layer_bytes=small)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made


def limited(bench: Bench, **changes: int) -> Bench:
    """Another worker over the same data."""
    return bench.beside(**changes)


async def counted(bench: Bench) -> tuple[int, int]:
    """How many uploads are open, and the bytes they are charged with; what is counted agrees with the rows."""

    def work(conn: Connection) -> tuple[int, int]:
        open_ones = list(conn.execute(select(uploads.c.reserved)).scalars())
        rows = [*open_ones, *conn.execute(select(finished_uploads.c.reserved)).scalars()]
        amounts = {row.scope: row.amount for row in conn.execute(select(usage))}
        assert amounts.get("uploads of account 123456789012", 0) == len(rows)
        assert amounts.get("upload bytes of account 123456789012", 0) == sum(rows)
        told = sum(amount for scope, amount in amounts.items() if scope.startswith("uploads of repository"))
        assert told == len(rows)
        return len(open_ones), sum(rows)

    return await bench.db.read(work)


async def settled(bench: Bench) -> tuple[int, int]:
    """The same after a sweep."""
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings).run_once(search=False)
    return await counted(bench)


async def test_a_repository_and_an_account_have_so_many_open_uploads(registry: InProcess) -> None:
    oci = await registry.oci()
    locations = []
    for _ in range(3):
        begun = await oci("POST", f"/v2/{APP}/blobs/uploads/")
        assert begun.status == 202
        locations.append(begun.headers["location"])
    refused = await oci("POST", f"/v2/{APP}/blobs/uploads/")
    assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
    assert refused.message.endswith("service limit: 3 open uploads a repository, 4 an account")
    reply = await registry.ecr("InitiateLayerUpload", repositoryName=APP)
    assert (reply.status, *reply.error) == (400, "LimitExceededException", refused.message)
    upload = (await registry.ok("InitiateLayerUpload", repositoryName=BESIDE))["uploadId"]
    reply = await registry.ecr("InitiateLayerUpload", repositoryName=BESIDE)
    assert reply.error == ("LimitExceededException", refused.message)
    other = "999999999999"
    await registry.ok("CreateRepository", key=other, repositoryName=APP)
    await registry.ok("InitiateLayerUpload", key=other, repositoryName=APP)
    assert (await oci("DELETE", locations[0])).status == 204
    assert (await oci("PUT", f"{locations[1]}?digest={digest_of(b'layer')}", b"layer")).status == 201
    for _ in range(2):
        assert (await oci("POST", f"/v2/{APP}/blobs/uploads/")).status == 202
    part = base64.b64encode(b"layer").decode()
    where = {"repositoryName": BESIDE, "uploadId": upload}
    await registry.ok("UploadLayerPart", **where, partFirstByte=0, partLastByte=4, layerPartBlob=part)
    await registry.ok("CompleteLayerUpload", **where, layerDigests=[digest_of(b"layer")])
    assert (await oci("POST", f"/v2/{BESIDE}/blobs/uploads/")).status == 202


async def test_a_layer_in_one_request_needs_no_upload(registry: InProcess) -> None:
    oci = await registry.oci()
    for _ in range(3):
        assert (await oci("POST", f"/v2/{APP}/blobs/uploads/")).status == 202
    small = await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(b'layer')}", b"layer")
    assert small.status == 201
    long = bytes(MIB)
    refused = await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(long)}", long)
    assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")


async def test_the_quota_is_exact_however_many_begin_at_once(bench: Bench) -> None:
    workers = [limited(bench, uploads_per_repository=5, uploads_per_account=7) for _ in range(3)]
    begun = [workers[number % 3].uploads.begin((REF, OTHER)[number % 2], BY) for number in range(40)]
    ends = await asyncio.gather(*begun, return_exceptions=True)
    refused = [each for each in ends if isinstance(each, BaseException)]
    assert all(isinstance(each, TooManyUploads) for each in refused), refused
    assert len(ends) - len(refused) == 7
    assert await counted(bench) == (7, 0)


async def test_what_ends_is_no_longer_counted(bench: Bench) -> None:
    sizes = [3, 100_000, 3 * MIB]
    opened = []
    for size in sizes * 4:
        upload = await bench.uploads.begin(REF, BY)
        opened.append(upload.id)
        await bench.uploads.append(REF, upload.id, stream(bytes(size // 2), bytes(size - size // 2)))
    assert (await counted(bench))[0] == 12
    for upload_id, size in zip(opened[:3], sizes, strict=True):
        await bench.uploads.finish(REF, upload_id, digest_of(bytes(size)), by=BY, api="oci")
    for upload_id in opened[3:6]:
        await bench.uploads.cancel(REF, upload_id)
    assert (await counted(bench))[0] == 6
    upload = await bench.uploads.begin(OTHER, BY)
    bench.clock.set(bench.clock.now() + bench.settings.upload_seconds / 2)
    await bench.uploads.append(OTHER, upload.id, stream(b"still busy"))
    bench.clock.set(bench.clock.now() + bench.settings.upload_seconds * 0.6)
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings).run_once()
    assert (await counted(bench))[0] == 1
    await bench.uploads.append(OTHER, upload.id, stream(bytes(MIB)))
    await bench.repositories.delete(OTHER, force=True, by=BY)
    assert await settled(bench) == (0, 0)
    assert [each async for each in bench.blobs.leftovers() if each.kind == "upload"] == []
    with pytest.raises(UploadNotFound):
        await bench.uploads.put(REF, digest_of(b"x"), _ending(bench), length=None, by=BY)
    assert await settled(bench) == (0, 0)


async def _ending(bench: Bench) -> AsyncIterator[bytes]:
    """A body during which its upload ends, as by the sweep."""
    yield bytes(MIB)
    bench.clock.set(bench.clock.now() + 2 * bench.settings.upload_seconds)
    await Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings).run_once(search=False)
    for _ in range(4):
        yield bytes(MIB)


async def test_the_bytes_of_open_uploads_are_limited(bench: Bench) -> None:
    full = limited(bench, upload_bytes_per_account=6 * MIB)
    first, second = await full.uploads.begin(REF, BY), await full.uploads.begin(OTHER, BY)
    await full.uploads.append(REF, first.id, stream(*[bytes(MIB)] * 4))
    with pytest.raises(TooManyUploads, match="may have 6291456 bytes"):
        await full.uploads.append(OTHER, second.id, stream(*[bytes(MIB)] * 4))
    with pytest.raises(TooManyUploads):
        await full.uploads.put(OTHER, digest_of(bytes(4 * MIB)), stream(*[bytes(MIB)] * 4), length=None, by=BY)
    assert (await full.uploads.status(OTHER, second.id)).size == 0
    assert (await counted(bench))[1] <= 6 * MIB
    await full.uploads.finish(REF, first.id, digest_of(bytes(4 * MIB)), by=BY, api="oci")
    await full.uploads.append(OTHER, second.id, stream(*[bytes(MIB)] * 4))
    await full.uploads.finish(OTHER, second.id, digest_of(bytes(4 * MIB)), by=BY, api="oci")
    assert await settled(bench) == (0, 0)


async def test_a_refused_append_leaves_nothing_behind_a_small_layer(database: Database, tmp_path: Path) -> None:
    bench = Bench.over(database, tmp_path, upload_bytes_per_account=2 * MIB)
    await bench.repositories.create(REF, by=BY)
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(b"small"))
    with pytest.raises(TooManyUploads):
        await bench.uploads.append(REF, upload.id, stream(*[bytes(MIB)] * 4))
    await bench.uploads.finish(REF, upload.id, digest_of(b"small"), by=BY, api="oci")
    assert [each async for each in bench.blobs.leftovers()] == []


async def test_bytes_that_many_send_at_once_are_limited(bench: Bench) -> None:
    full = limited(bench, upload_bytes_per_account=8 * MIB)
    opened = [await full.uploads.begin(REF, BY) for _ in range(6)]
    appends = [full.uploads.append(REF, each.id, stream(*[bytes(MIB)] * 5)) for each in opened]
    ends = await asyncio.gather(*appends, return_exceptions=True)
    assert all(isinstance(each, TooManyUploads) for each in ends if isinstance(each, BaseException)), ends
    assert (await counted(bench))[1] <= 8 * MIB
    for each in opened:
        await full.uploads.cancel(REF, each.id)
    assert await settled(bench) == (0, 0)


async def test_a_put_cut_short_is_no_longer_counted(bench: Bench) -> None:
    with pytest.raises(ConnectionError):
        await bench.uploads.put(REF, digest_of(b"x"), cut(bytes(MIB), bytes(MIB)), length=None, by=BY)
    with pytest.raises(InvalidLayer):
        await bench.uploads.put(REF, digest_of(b"x"), stream(bytes(MIB)), length=MIB, by=BY)
    assert await settled(bench) == (0, 0)


async def test_a_wrong_digest_is_read_so_often_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    async def counting(store: BlobStore, key: str, size: int, algorithm: str) -> str:
        reads.append(algorithm)
        return await digest_of_object(store, key, size, algorithm)

    monkeypatch.setattr("moorage.registry.layers.storing.digest_of_object", counting)
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(bytes(MIB)))
    wrong = digest_of(b"other", "sha512")
    ends = [bench.uploads.finish(REF, upload.id, wrong, by=BY, api="oci") for _ in range(20)]
    failed = await asyncio.gather(*ends, return_exceptions=True)
    assert [type(each) for each in failed] == [InvalidLayer] * MOST_FAILED_FINISHES + [UploadNotFound] * (
        20 - MOST_FAILED_FINISHES
    )
    assert len(reads) == MOST_FAILED_FINISHES
    assert await settled(bench) == (0, 0)
    assert [each async for each in bench.blobs.leftovers()] == []


async def test_an_honest_client_may_correct_itself(bench: Bench) -> None:
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(bytes(MIB)))
    for _ in range(MOST_FAILED_FINISHES - 1):
        with pytest.raises(InvalidLayer):
            await bench.uploads.finish(REF, upload.id, digest_of(b"other"), by=BY, api="oci")
    await bench.uploads.finish(REF, upload.id, digest_of(bytes(MIB)), by=BY, api="oci")


async def test_finishes_that_fail_at_the_ecr_api(registry: InProcess) -> None:
    upload = (await registry.ok("InitiateLayerUpload", repositoryName=APP))["uploadId"]
    where = {"repositoryName": APP, "uploadId": upload}
    part = base64.b64encode(b"layer").decode()
    await registry.ok("UploadLayerPart", **where, partFirstByte=0, partLastByte=4, layerPartBlob=part)
    told = [
        (await registry.ecr("CompleteLayerUpload", **where, layerDigests=[digest_of(b"other")])).error[0]
        for _ in range(MOST_FAILED_FINISHES + 1)
    ]
    assert told == ["InvalidLayerException"] * MOST_FAILED_FINISHES + ["UploadNotFoundException"]


async def test_a_layer_that_is_there_already_is_not_hashed_for_ever(registry: InProcess) -> None:
    oci = await registry.oci()
    await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(b'layer')}", b"layer")
    upload = (await registry.ok("InitiateLayerUpload", repositoryName=APP))["uploadId"]
    where = {"repositoryName": APP, "uploadId": upload}
    part = base64.b64encode(b"layer").decode()
    await registry.ok("UploadLayerPart", **where, partFirstByte=0, partLastByte=4, layerPartBlob=part)
    told = [
        (await registry.ecr("CompleteLayerUpload", **where, layerDigests=[digest_of(b"layer")])).error[0]
        for _ in range(MOST_FAILED_FINISHES + 1)
    ]
    assert told == ["LayerAlreadyExistsException"] * MOST_FAILED_FINISHES + ["UploadNotFoundException"]


async def test_the_first_uploads_of_an_account_may_begin_at_once(bench: Bench) -> None:
    for number in range(20):
        ref = REF._replace(account=AccountId(f"{number:012}"))
        await bench.repositories.create(ref, by=BY)
        await asyncio.gather(*(bench.uploads.begin(ref, BY) for _ in range(4)))
