"""A clock that jumps, a machine that sleeps, a server that was stopped: nothing expires before its time has passed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from moorage.audit.recorder import Recorder
from moorage.audit.retention import AuditMaintenance
from moorage.errors import UploadNotFound
from moorage.names import Digest
from moorage.registry.images.types import ImageId
from moorage.registry.trash.service import Trash
from moorage.settings import Settings
from moorage.store import elapsed
from moorage.store.elapsed import Observed
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.deployment import observed_clock
from moorage.store.metadata.tables import blobs, outbox
from tests.audit.test_recorder import decided, rows
from tests.registry.pushing import BY, OTHER, REF, Bench, digest_of, stream
from tests.support.sweep import Sweep

HOUR, DAY = 3600.0, 86_400.0
SWEEP_SECONDS = 60.0


class Machine:
    """A machine whose clocks the test moves."""

    def __init__(self) -> None:
        self.wall = time.time()
        self.steady = 1000.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock; or the machine sleeps."""
        self.wall += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    class Times:
        time = staticmethod(lambda: made.wall)
        monotonic = staticmethod(lambda: made.steady)

    monkeypatch.setattr("moorage.clock.time", Times)
    return made


class Server:
    """One process over the database, with the clock and the sweep of its own."""

    def __init__(self, database: Database, directory: Path, machine: Machine) -> None:
        self.bench = bench = Bench.over(database, directory, small_layer_bytes=0)
        self.machine = machine
        self.sweeper = Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings)

    async def sweep(self) -> None:
        await self.sweeper.run_once()

    async def run(self, seconds: float) -> None:
        """Serve for that long. A few sweeps are enough: the monotonic clock says what passes between them."""
        step = max(HOUR / 2, seconds / 4)
        while seconds > 0:
            self.machine.pass_time(step)
            seconds -= step
            await self.sweep()


@pytest.fixture
def start(database: Database, tmp_path: Path, machine: Machine) -> Callable[[], Server]:
    return lambda: Server(database, tmp_path, machine)


async def prepare(server: Server) -> tuple[Digest, str]:
    """A deleted image, an upload, a layer without an image and an event; ids of the first two."""
    bench = server.bench
    await bench.repositories.create(REF, by=BY)
    await server.sweep()
    digest = await bench.image("deleted", tag="v1")
    await bench.images.batch_delete(REF, [ImageId(digest)], by=BY, api="ecr")
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(b"half"))
    await bench.repositories.create(OTHER, by=BY)  # an open upload of a repository holds its fresh layers
    await bench.layer(b"lone", OTHER)
    return digest, upload.id


async def whole(server: Server, upload_id: str) -> set[str]:
    """Which of the four are there."""
    bench, found = server.bench, set()

    def work(conn: Connection) -> tuple[set[str], list[str]]:
        kinds = list(conn.execute(select(outbox.c.kind)).scalars())
        return set(conn.execute(select(blobs.c.digest)).scalars()), kinds

    digests, kinds = await bench.db.read(work)
    found |= {"layer"} if digest_of(b"lone") in digests else set()
    found |= {"image"} if digest_of(b"layer deleted") in digests else set()
    found |= {"event"} if "image.deleted" in kinds else set()
    try:
        await bench.uploads.status(REF, upload_id)
        found.add("upload")
    except UploadNotFound:
        pass
    return found


ALL = {"layer", "image", "event", "upload"}


@pytest.mark.parametrize("jump", [2 * HOUR, DAY, 8 * DAY, 20_000 * DAY])
async def test_a_jump_destroys_nothing_that_is_young(
    start: Callable[[], Server], machine: Machine, jump: float
) -> None:
    server = start()
    digest, upload_id = await prepare(server)
    machine.jump(jump)
    for _ in range(3):
        await server.sweep()
        machine.pass_time(SWEEP_SECONDS)
    assert await whole(server, upload_id) == ALL
    await server.run(2.5 * HOUR)  # a layer is detached after an hour, and freed an hour later
    assert await whole(server, upload_id) == ALL - {"layer"}
    await server.run(22 * HOUR)
    assert await whole(server, upload_id) == ALL - {"layer", "upload"}
    bench = server.bench
    await Trash(bench.db, bench.blobs, bench.clock, bench.settings).restore_image(REF, digest, by=BY)


async def test_what_was_deleted_goes_when_its_time_has_passed(start: Callable[[], Server], machine: Machine) -> None:
    server = start()
    _, upload_id = await prepare(server)
    for _ in range(7):
        await server.run(23 * HOUR)
        machine.jump(8 * DAY)
    await server.sweep()
    assert {"image", "event"} <= await whole(server, upload_id)
    await server.run(12 * HOUR)  # then the layers of the image rest for another hour, twice
    await server.run(4 * HOUR)
    assert await whole(server, upload_id) == set()


async def test_a_server_that_was_stopped_for_a_week_destroys_nothing_at_once(
    start: Callable[[], Server], machine: Machine
) -> None:
    server = start()
    _, upload_id = await prepare(server)
    await server.run(HOUR / 2)
    machine.jump(8 * DAY)
    machine.steady = 5.0  # the machine was started anew
    server = start()
    for _ in range(3):
        await server.sweep()
        machine.pass_time(SWEEP_SECONDS)
    assert await whole(server, upload_id) == ALL
    await server.run(2 * HOUR)
    assert await whole(server, upload_id) == ALL - {"layer"}


async def test_a_server_that_runs_by_day_only_does_not_wait_for_ever(
    start: Callable[[], Server], machine: Machine
) -> None:
    _, upload_id = await prepare(start())
    for _ in range(22):
        await start().run(8 * HOUR)
        machine.jump(16 * HOUR)
    assert await whole(start(), upload_id) == set()


async def test_quick_restarts_count_as_time(start: Callable[[], Server], machine: Machine) -> None:
    _, upload_id = await prepare(start())
    for _ in range(160):
        machine.pass_time(25.0)
        await start().sweep()
        machine.pass_time(25.0)
    await start().run(HOUR)
    assert await whole(start(), upload_id) == ALL - {"layer"}


async def test_a_jump_that_another_worker_saw_first_is_no_time(start: Callable[[], Server], machine: Machine) -> None:
    first, second = start(), start()
    _, upload_id = await prepare(first)
    await second.sweep()
    machine.jump(8 * DAY)
    await first.sweep()
    await second.sweep()
    await start().sweep()
    assert await whole(second, upload_id) == ALL
    record = await first.bench.db.read(observed_clock.find)
    assert record is not None
    assert len(record.gaps) == 2  # what was before the first start, and the jump


async def test_a_jump_deletes_no_audit_records(
    start: Callable[[], Server], machine: Machine, database_settings: Settings
) -> None:
    server = start()
    await server.sweep()
    store = await AuditStore.open(database_settings)
    recorder = Recorder(store, server.bench.clock, server.bench.settings, lambda _kind, _number: None)
    recorder.start()
    retention = AuditMaintenance(store, server.sweeper.elapsed, server.bench.settings)

    async def delete_records() -> None:
        async for _ in retention.delete_records():
            pass

    try:
        recorder.record(decided())
        await recorder.flush()
        machine.jump(2 * server.bench.settings.audit_seconds)
        await delete_records()
        assert len(await rows(store)) == 1
        await server.run(server.bench.settings.audit_seconds + DAY)
        await delete_records()
        assert await rows(store) == []
    finally:
        await recorder.stop()
        await store.close()


async def test_a_clock_that_was_set_back_and_put_right_makes_nothing_old(
    start: Callable[[], Server], machine: Machine
) -> None:
    server = start()
    await server.sweep()
    machine.jump(-10 * DAY)
    _, upload_id = await prepare(server)
    await server.sweep()
    machine.jump(10 * DAY)
    await server.sweep()
    assert await whole(server, upload_id) == ALL


def test_gaps_of_other_clocks_and_gaps_that_overlap() -> None:
    observed = Observed(1000.0, [(100.0, 200.0), (150.0, 300.0), (900.0, 2000.0), (500.0, 600.0)])
    assert observed.before(400.0) == 600.0
    assert observed.before(450.0) == 450.0
    assert observed.before(600.0) == 300.0
    assert observed.before(650.0) == 50.0


def test_gaps_are_bounded_and_the_shortest_time_between_them_is_given_up() -> None:
    gaps = [(number * 100.0, number * 100.0 + 50.0) for number in range(10)] + [(1010.0, 1020.0)]
    assert elapsed._at_most(gaps, 11) == gaps
    assert elapsed._at_most([*gaps, (1025.0, 1030.0)], 11) == [*gaps[:-1], (1010.0, 1030.0)]
