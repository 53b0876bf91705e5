"""Layers: membership, mounts, and what ECR asks before a download."""

import pytest

from moorage.clock import Clock
from moorage.errors import LayerInaccessible, LayersNotFound, RepositoryNotFound
from moorage.names import Region, RepositoryName
from moorage.registry.account_settings.service import AccountSettings
from moorage.registry.layers.types import Availability
from moorage.registry.repositories.types import Encryption
from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, OTHER, REF, Bench, Rights, digest_of, manifest

NOWHERE = REF._replace(name=RepositoryName("no/where"))


async def test_availability(bench: Bench) -> None:
    await bench.image("a")
    layer, lone, elsewhere = b"layer a", b"lone", b"elsewhere"
    await bench.layer(lone)
    await bench.layer(elsewhere, OTHER)
    asked = [digest_of(layer), digest_of(lone), "no digest", digest_of(elsewhere), "", digest_of(layer), "sha256:abc"]
    found, failures = await bench.layers.availability(REF, asked)
    assert found == [
        Availability(
            digest_of(layer), available=True, size=7, media_type="application/vnd.oci.image.layer.v1.tar+gzip"
        ),
        Availability(digest_of(lone), available=True, size=4),
        Availability(digest_of(elsewhere), available=False),
        Availability("sha256:abc", available=False),
    ]
    assert [(each.digest, each.code) for each in failures] == [
        ("no digest", "InvalidLayerDigest"),
        ("", "MissingLayerDigest"),
    ]
    with pytest.raises(RepositoryNotFound):
        await bench.layers.availability(NOWHERE, asked)


async def test_a_layer_elsewhere_is_not_here(bench: Bench) -> None:
    layer = await bench.layer(b"elsewhere", OTHER)
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, layer.digest)
    with pytest.raises(LayersNotFound):
        await bench.layers.download(REF, layer.digest)
    with pytest.raises(RepositoryNotFound):
        await bench.layers.stat(NOWHERE, layer.digest)


async def test_a_download_needs_an_image(bench: Bench) -> None:
    config, layer = await bench.layer(b"config"), await bench.layer(b"layer")
    with pytest.raises(LayerInaccessible):
        await bench.layers.download(REF, layer.digest)
    await bench.push(manifest(b"config", b"layer"))
    assert (await bench.layers.download(REF, layer.digest)).size == 5
    assert (await bench.layers.download(REF, config.digest)).size == 6


async def test_a_range_and_the_file(database: Database, bench: Bench) -> None:
    small = await bench.layer(b"9876543210")
    assert b"".join([chunk async for chunk in bench.layers.read(small, 2, 5)]) == b"765"
    assert bench.layers.local_path(small) is None
    bench = Bench.over(database, bench.settings.data, small_layer_bytes=9)
    layer = await bench.layer(b"0123456789")
    assert b"".join([chunk async for chunk in bench.layers.read(layer, 2, 5)]) == b"234"
    path = bench.layers.local_path(layer)
    assert path is not None
    assert path.read_bytes() == b"0123456789"


async def test_a_mount_shares_the_bytes(bench: Bench) -> None:
    layer = await bench.layer(b"shared", OTHER)
    assert await bench.layers.mount(REF, layer.digest, Rights(), by=BY, source=OTHER) == layer
    assert await bench.layers.stat(REF, layer.digest) == layer
    assert await bench.layers.mount(REF, layer.digest, Rights(), by=BY, source=OTHER) == layer


async def test_a_mount_without_a_source_finds_one(bench: Bench) -> None:
    layer = await bench.layer(b"shared", OTHER)
    assert await bench.layers.mount(REF, layer.digest, Rights(), by=BY) == layer


async def test_a_mount_needs_the_right_to_read_the_source(bench: Bench) -> None:
    layer = await bench.layer(b"shared", OTHER)
    for source in (OTHER, None):
        rights = Rights(denied={("ecr:GetDownloadUrlForLayer", OTHER)})
        assert await bench.layers.mount(REF, layer.digest, rights, by=BY, source=source) is None
        assert rights.asked == [("ecr:GetDownloadUrlForLayer", OTHER)]
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, layer.digest)


async def test_a_mount_needs_the_source_to_hold_it_here(bench: Bench) -> None:
    layer = await bench.layer(b"shared", OTHER)
    far = OTHER._replace(region=Region("us-east-1"))
    await bench.repositories.create(far, by=BY)
    await bench.layer(b"shared", far)
    assert await bench.layers.mount(REF, layer.digest, Rights(), by=BY, source=far) is None
    assert await bench.layers.mount(REF, digest_of(b"unknown"), Rights(), by=BY, source=OTHER) is None
    assert await bench.layers.mount(REF, layer.digest, Rights(), by=BY, source=NOWHERE) is None
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, layer.digest)


async def test_ecr_mounts_when_it_is_enabled_and_an_image_has_the_layer(bench: Bench, database: Database) -> None:
    aws = Bench.over(database, bench.settings.data, profile="aws")
    digest = digest_of(b"layer")
    for content in (b"config", b"layer"):
        await aws.layer(content, OTHER)
    assert await aws.layers.mount(REF, digest, Rights(), by=BY, source=OTHER) is None
    await aws.push(manifest(b"config", b"layer"), ref=OTHER)
    assert await aws.layers.mount(REF, digest, Rights(), by=BY, source=OTHER) is None
    await AccountSettings(database, Clock()).put(REF.account, REF.region, "BLOB_MOUNTING", "ENABLED", by=BY)
    assert await aws.layers.mount(REF, digest, Rights(), by=BY, source=OTHER) is not None
    sealed = REF._replace(name=RepositoryName("sealed"))
    await aws.repositories.create(sealed, encryption=Encryption("KMS"), by=BY)
    assert await aws.layers.mount(sealed, digest, Rights(), by=BY, source=OTHER) is None


async def test_delete_ends_one_membership(bench: Bench) -> None:
    layer = await bench.layer(b"shared")
    await bench.layer(b"shared", OTHER)
    await bench.layers.delete(REF, layer.digest, BY)
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, layer.digest)
    assert await bench.layers.stat(OTHER, layer.digest) == layer
    with pytest.raises(LayersNotFound):
        await bench.layers.delete(REF, layer.digest, BY)
