"""Pushes that take longer than an unreferenced layer is kept: their first layers are still there for the manifest."""

import pytest

from moorage.errors import LayersNotFound
from moorage.registry.layers.uploads import Upload
from tests.registry.conftest import bench
from tests.registry.pushing import BY, OTHER, REF, Bench, Rights, digest_of, manifest, stream
from tests.support.sweep import Sweep

__all__ = ["bench"]

MINUTE = 60.0


class Time:
    """Passes, while the server sweeps."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sweep = Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings)

    async def passes(self, minutes: int, *, sending: Upload | None = None) -> None:
        """`sending`: an upload whose client sends a few bytes all the while."""
        for _ in range(minutes // 10):
            self._bench.clock.set(self._bench.clock.now() + 10 * MINUTE)
            if sending is not None:
                await self._bench.uploads.append(REF, sending.id, stream(b"few"))
            await self._sweep.run_once(search=self._sweep.is_search_due())


async def slowly(bench: Bench, time: Time, hours: int) -> bytes:
    """Push a layer that takes so long; its bytes."""
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(b"%d hours" % hours))
    await time.passes(hours * 60, sending=upload)
    content = b"%d hours" % hours + b"few" * hours * 6
    await bench.uploads.finish(REF, upload.id, digest_of(content), by=BY, api="oci")
    return content


async def test_a_layer_waits_for_one_that_takes_hours(bench: Bench) -> None:
    time = Time(bench)
    await bench.layer(b"config")
    layer = await slowly(bench, time, 5)
    await time.passes(10)
    put = await bench.push(manifest(b"config", layer))
    await time.passes(600)
    assert (await bench.images.find(REF, put.manifest.digest)).digest == put.manifest.digest


async def test_layers_that_take_hours_one_after_another(bench: Bench) -> None:
    time = Time(bench)
    await bench.layer(b"config")
    layers = [await slowly(bench, time, hours) for hours in (2, 3, 4)]
    await time.passes(10)
    await bench.push(manifest(b"config", *layers))


async def test_a_mounted_layer_waits_as_well(bench: Bench) -> None:
    time = Time(bench)
    digest = (await bench.layer(b"shared", OTHER)).digest
    assert await bench.layers.mount(REF, digest, Rights(), by=BY, source=OTHER) is not None
    layer = await slowly(bench, time, 3)
    await bench.push(manifest(b"shared", layer))


async def test_an_abandoned_upload_holds_nothing(bench: Bench) -> None:
    time = Time(bench)
    await bench.layer(b"config")
    upload = await bench.uploads.begin(REF, BY)
    await time.passes(60, sending=upload)
    await time.passes(180)
    assert (await bench.uploads.status(REF, upload.id)).size > 0  # for a day
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, digest_of(b"config"))


async def test_an_upload_holds_no_layer_of_another_repository(bench: Bench) -> None:
    time = Time(bench)
    await bench.layer(b"config", OTHER)
    await slowly(bench, time, 3)
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(OTHER, digest_of(b"config"))
