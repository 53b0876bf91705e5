"""A disk that is really full: what cannot be kept is refused, what is there stays whole, and then it goes on."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from moorage.api.oci import app
from moorage.logs import Seldom
from moorage.settings import Settings
from tests.support.ecr_push import MANIFEST, digest
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import Answer, AsgiClient

pytestmark = pytest.mark.xdist_group("full-disk")  # one full file system at a time

MIB = 1 << 20
BLOBS = "/v2/team/app/blobs"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
async def registry(small_disk: Path) -> AsyncIterator[InProcess]:
    async with in_process(Settings(mode="dev", data=small_disk / "data")) as made:
        yield made


class Filler:
    """Takes all the room that is left, and gives it back."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "filler"

    def fill(self) -> None:
        with self._file.open("ab", buffering=0) as out:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        out.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._file.unlink()


async def put_blob(oci: AsgiClient, content: bytes) -> Answer:
    return await oci("POST", f"{BLOBS}/uploads/?digest={digest(content)}", content)


async def push(oci: AsgiClient, tag: str, layer: bytes) -> Answer:
    """An image whose config is there already."""
    kinds = {b"{}": "application/vnd.oci.image.config.v1+json", layer: "application/vnd.oci.image.layer.v1.tar"}
    config, described = [{"mediaType": kind, "digest": digest(each), "size": len(each)} for each, kind in kinds.items()]
    text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [described]}).encode()
    return await oci("PUT", f"/v2/team/app/manifests/{tag}", text, content_type=MANIFEST)


async def pulls(oci: AsgiClient, tag: str, layer: bytes) -> bool:
    manifest = await oci("GET", f"/v2/team/app/manifests/{tag}")
    return manifest.status == 200 and (await oci("GET", f"{BLOBS}/{digest(layer)}")).body == layer


async def test_a_full_disk_refuses_and_corrupts_nothing(
    registry: InProcess, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "refused_for_space", Seldom())  # another test may have logged the warning a moment ago
    oci, filler = await registry.oci(), Filler(small_disk)
    first, large = os.urandom(2 * MIB), os.urandom(3 * MIB)
    for content in (b"{}", first):
        assert (await put_blob(oci, content)).status == 201
    assert (await push(oci, "v1", first)).status == 201
    location = (await oci("POST", f"{BLOBS}/uploads/")).headers["location"]
    begun = await oci("PATCH", location, large[:MIB])
    assert begun.status == 202

    filler.fill()
    with capture_logs() as logged:
        assert (await put_blob(oci, os.urandom(2 * MIB))).status == 507
    assert "refused: no space left" in [line["event"] for line in logged]
    refused = 0
    for number in range(40):
        for answer in (
            await put_blob(oci, os.urandom(2 * MIB)),
            await put_blob(oci, b"small %d" % number + bytes(3000)),
            await oci("PATCH", location, large[MIB:], content_range=f"{MIB}-{3 * MIB - 1}"),
            await push(oci, f"full-{number}", first),
        ):
            assert answer.status in {201, 202, 507}, answer
            refused += answer.status == 507
            if answer.status == 507:
                assert answer.code == "UNKNOWN"
        reply = await registry.ecr("CreateRepository", repositoryName=f"full/{number}")
        assert reply.status in {200, 507}, reply
        assert await pulls(oci, "v1", first)
    assert refused > 40

    filler.free()
    assert (await oci("GET", location)).headers["range"] == f"0-{MIB - 1}"
    assert (await oci("PATCH", location, large[MIB:], content_range=f"{MIB}-{3 * MIB - 1}")).status == 202
    assert (await oci("PUT", f"{location}?digest={digest(large)}")).status == 201
    assert (await push(oci, "v2", large)).status == 201
    for tag, layer in (("v1", first), ("v2", large)):
        assert await pulls(oci, tag, layer)
    for tag in (await oci("GET", "/v2/team/app/tags/list")).json["tags"]:
        assert (await oci("GET", f"/v2/team/app/manifests/{tag}")).status == 200
