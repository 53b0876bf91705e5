"""A full disk is emptied through the registry, whoever filled it: every delete works, and the sweep frees the bytes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.settings import Settings
from moorage.store.reserve import Reserve, reserved_on
from tests.faults.test_full_disk import BLOBS, MIB, Filler, pulls, push, put_blob, small_disk
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import AsgiClient

pytestmark = pytest.mark.xdist_group("full-disk")  # one full file system at a time

__all__ = ["small_disk"]

SCOPE = "test/20260101/us-east-1/moorage/aws4_request"
SETTINGS = Settings(mode="dev", sweep_interval_seconds=0.05, blob_grace_seconds=5.0)


@pytest.fixture
async def registry(small_disk: Path) -> AsyncIterator[InProcess]:
    async with in_process(replace(SETTINGS, data=small_disk / "data")) as made:
        yield made


def room(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


async def wait_until(holds: Callable[[], bool]) -> None:
    """For the sweep, which says nothing."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def wait_for_room(disk: Path, least: int) -> None:
    await wait_until(lambda: room(disk) >= least)


async def wait_for_the_reserve(data: Path) -> None:
    await wait_until((data / "reserve").exists)


async def purge(registry: InProcess, **what: str) -> None:
    signed = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature={'0' * 64}"
    body = json.dumps({"repository": "team/app", **what}).encode()
    reply = await registry.ask("", body, path="/_moorage/purge", authorization=signed)
    assert reply.status == 200, reply


async def fill_with_images(oci: AsgiClient, size: int) -> list[tuple[str, bytes]]:
    """Push images until the registry refuses more; the tags and layers of those it has."""
    assert (await put_blob(oci, b"{}")).status == 201
    pushed: list[tuple[str, bytes]] = []
    while True:
        layer = os.urandom(size)
        stored = await put_blob(oci, layer)
        status = stored.status
        if status == 201:
            tag = f"v{len(pushed)}"
            status = (await push(oci, tag, layer)).status
        if status != 201:
            assert status == 507
            break
        pushed.append((tag, layer))
    while (stored := await put_blob(oci, os.urandom(MIB))).status == 201:  # what has room for no image has for blobs
        pass
    assert stored.status == 507
    return pushed


async def delete_in_every_way(
    registry: InProcess, oci: AsgiClient, pushed: list[tuple[str, bytes]], location: str
) -> None:
    """Delete the images but the last, a layer, an upload and the repository beside; destroy what can be restored."""
    assert (await oci("DELETE", location)).status == 204
    digests = []
    for number, (tag, _) in enumerate(pushed[:-1]):
        got = await oci("HEAD", f"/v2/team/app/manifests/{tag}")
        digests.append(got.headers["docker-content-digest"])
        if number == 0:
            assert (await oci("DELETE", f"/v2/team/app/manifests/{tag}")).status == 202
        if number % 2:
            assert (await oci("DELETE", f"/v2/team/app/manifests/{digests[-1]}")).status == 202
        else:
            ids = [{"imageDigest": digests[-1]}]
            deleted = await registry.ok("BatchDeleteImage", repositoryName="team/app", imageIds=ids)
            assert deleted["failures"] == []
    await registry.ok("DeleteRepository", repositoryName="team/beside", force=True)
    await purge(registry, repository="team/beside")
    for digest in digests:
        await purge(registry, digest=digest)


@pytest.mark.parametrize("size", [MIB, 60_000], ids=["files", "metadata"])
@pytest.mark.parametrize("filled_by", ["pushes", "others"])
async def test_deletes_work_and_the_sweep_frees_the_bytes(
    registry: InProcess, small_disk: Path, size: int, filled_by: str
) -> None:
    oci, filler = await registry.oci(), Filler(small_disk)
    await registry.ok("CreateRepository", repositoryName="team/beside")
    location = (await oci("POST", f"{BLOBS}/uploads/")).headers["location"]
    assert (await oci("PATCH", location, bytes(MIB))).status == 202
    await wait_for_the_reserve(small_disk / "data")
    if filled_by == "pushes":
        pushed = await fill_with_images(oci, size)
    else:
        pushed = []
        for number in range(8):
            pushed.append((f"v{number}", os.urandom(size)))
            assert (await put_blob(oci, pushed[-1][1])).status == 201
            assert (await put_blob(oci, b"{}")).status == 201
            assert (await push(oci, *pushed[-1])).status == 201
        filler.fill()
        assert (await put_blob(oci, os.urandom(size))).status == 507
    assert await pulls(oci, *pushed[-1])

    await delete_in_every_way(registry, oci, pushed, location)
    if filled_by == "pushes" and size == MIB:
        await wait_for_room(small_disk, 16 * MIB)
    if filled_by == "others":
        filler.free()
    await wait_for_the_reserve(small_disk / "data")
    assert await pulls(oci, *pushed[-1])
    fresh = os.urandom(size)
    async with asyncio.timeout(60):
        while (await put_blob(oci, fresh)).status != 201:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await push(oci, "fresh", fresh)).status == 201
    assert await pulls(oci, "fresh", fresh)


@pytest.mark.parametrize("size", [MIB, 60_000], ids=["files", "metadata"])
async def test_pushes_stop_before_the_disk_is_full(registry: InProcess, small_disk: Path, size: int) -> None:
    oci = await registry.oci()
    await fill_with_images(oci, size)
    assert room(small_disk) > MIB


async def test_an_upload_that_met_the_limit_goes_on_later(registry: InProcess, small_disk: Path) -> None:
    oci = await registry.oci()
    content = os.urandom(2 * MIB)
    location = (await oci("POST", f"{BLOBS}/uploads/")).headers["location"]
    assert (await oci("PATCH", location, content[:MIB])).status == 202
    filler = Filler(small_disk)
    filler.fill()
    assert (await oci("PATCH", location, content[MIB:], content_range=f"{MIB}-{2 * MIB - 1}")).status == 507
    filler.free()
    assert (await oci("GET", location)).headers["range"] == f"0-{MIB - 1}"
    assert (await oci("PATCH", location, content[MIB:], content_range=f"{MIB}-{2 * MIB - 1}")).status == 202


def test_the_reserve_is_made_where_there_is_room_for_it_twice(small_disk: Path) -> None:
    reserve, filler = Reserve(small_disk), Filler(small_disk)
    assert reserved_on(small_disk) == 2 * MIB
    reserve.refill()
    assert (small_disk / "reserve").stat().st_blocks * 512 == MIB
    assert (small_disk / "reserve").stat().st_mode & 0o777 == 0o600
    filler.fill()
    reserve.give_up()
    assert room(small_disk) >= MIB
    reserve.refill()
    assert not (small_disk / "reserve").exists()
    filler.free()
    reserve.refill()
    assert (small_disk / "reserve").exists()
