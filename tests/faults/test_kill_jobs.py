"""kill -9 in the middle of each kind of job: another process takes it over, and what it does is done once."""

import asyncio
import os
import re
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, func, insert, select, true

from moorage.events.delivery import LOG
from moorage.identity.credentials.sessions import Sessions
from moorage.jobs import maintenance
from moorage.jobs import runner as module
from moorage.jobs.kind import Attempt, Schedule
from moorage.jobs.runner import Runner
from moorage.registry.images.types import ImageId
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.blobs.store import Staged
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.deployment.consistency import wrong_counters
from moorage.store.metadata.events import outbox as outbox_rows
from moorage.store.metadata.identity.tables import sessions
from moorage.store.metadata.jobs import jobs as rows
from moorage.store.metadata.jobs.tables import jobs
from moorage.store.metadata.tables import blobs, layers, manifests, outbox, policy_documents, tag_history, uploads
from tests.audit.test_recorder import decided, recorder_over
from tests.audit.test_recorder import rows as audit_rows
from tests.registry.pushing import BY, OTHER, REF, Bench, digest_of, stream
from tests.support.sweep import kinds_of, run

ROOT: Final = Path(__file__).parents[2]
DAY: Final = 86_400.0
LATER: Final = 200 * DAY
"""Since everything was made: all of it has expired but what lives."""
LEASE: Final = 1.0
KINDS: Final = [
    "events.deliver",
    "uploads.expire",
    "trash.empty",
    "credentials.delete",
    "events.delete",
    "trash.trim",
    "histories.trim",
    "documents.mark",
    "layers.detach",
    "blobs.mark",
    "documents.delete",
    "blobs.free",
    "leftovers.delete",
    "audit.delete",
    "jobs.delete",
]


class World:
    """A database with something for each kind to do, and a clock that is set to long after."""

    def __init__(self, bench: Bench, audit: AuditStore) -> None:
        self.bench = bench
        self.audit = audit
        elapsed = ElapsedTime(bench.db, bench.clock, bench.settings)
        self.kinds = {
            each.name: each for each in kinds_of(bench.db, bench.blobs, elapsed, bench.clock, bench.settings, audit)
        }


async def open_world(stack: AsyncExitStack, directory: Path, url: str | None) -> World:
    settings = Settings(data=directory, database_url=url)
    database = await open_database(settings)
    stack.push_async_callback(database.close)
    audit = await AuditStore.open(settings)
    stack.push_async_callback(audit.close)
    changes: dict[str, Any] = {"small_layer_bytes": 0, "trashed_images_per_repository": 2, "event_log": True}
    return World(Bench.over(database, directory, **changes), audit)


def small_batches(patch: pytest.MonkeyPatch) -> None:
    """So that every kind has several steps."""
    for name in (
        "moorage.registry.trash.expiry.BATCH",
        "moorage.registry.layers.upload_expiry.BATCH",
        "moorage.registry.layers.collection.BATCH",
        "moorage.registry.layers.leftovers.BATCH",
        "moorage.registry.retention.BATCH",
        "moorage.registry.retention.DOCUMENTS",
        "moorage.identity.credentials.expiry.BATCH",
        "moorage.events.delivery.BATCH",
        "moorage.events.delivery.EXPIRY_BATCH",
        "moorage.jobs.retention._BATCH",
    ):
        patch.setattr(name, 1)


async def prepare(world: World) -> None:
    bench = world.bench
    for ref in (REF, OTHER):
        await bench.repositories.create(ref, by=BY)
    await bench.image("living", tag="v1")
    for number in range(4):
        await bench.image(f"moving {number}", tag="moving")
    for number in range(3):
        digest = await bench.image(f"deleted {number}")
        await bench.images.batch_delete(REF, [ImageId(digest)], by=BY, api="ecr")
        layer = await bench.layer(b"lone %d" % number, OTHER)
        if number < 2:
            await bench.layers.delete(OTHER, layer.digest, BY)
        upload = await bench.uploads.begin(REF, BY)
        await bench.uploads.append(REF, upload.id, stream(b"half"))
        await bench.blobs.commit(await bench.blobs.append(Staged(f"left-{number}"), stream(b"x")))
    now = bench.clock.now()

    def work(conn: Connection) -> None:
        for number in range(3):
            conn.execute(insert(policy_documents).values(hash=f"{number:064}", text="{}"))
            row: dict[str, Any] = {
                "kind": "test.done",
                "payload": "{}",
                "state": "done",
                "priority": 0,
                "created_at": now,
            }
            conn.execute(
                insert(jobs).values(
                    row | {"created_at": now, "run_at": now, "attempts": 1, "cancel": False, "ended_at": now}
                )
            )

    await bench.db.transaction(work)
    issued = Sessions(bench.db, Sealer([b"k" * 32]), bench.clock)
    for _ in range(3):
        await issued.create(REF.account, None, 3600, by=BY)
    recorder = recorder_over(world.audit)
    recorder.record(decided(at=now))
    await recorder.flush()


BEFORE: Final = ("documents.mark", "leftovers.delete", "events.deliver")
"""Kinds that run before the clock moves on, because other kinds go on with what they have done."""


async def left(world: World, kind: str) -> int:
    """How many rows or files there are that the kind should have dealt with."""
    if kind == "leftovers.delete":
        return len([each async for each in world.bench.blobs.leftovers() if each.name.startswith("left-")])
    if kind == "audit.delete":
        return len(await audit_rows(world.audit))
    if kind == "events.deliver":
        return await world.bench.db.read(lambda conn: outbox_rows.waiting(conn, LOG))
    if kind == "blobs.mark":
        return 0  # a repository was not destroyed, so no blob lost its last one unnoticed
    in_trash = manifests.c.deleted_at.is_not(None)
    table, where, expected = {
        "uploads.expire": (uploads, true(), 0),
        "trash.empty": (manifests, in_trash, 0),
        "credentials.delete": (sessions, true(), 0),
        "events.delete": (outbox, true(), 0),
        "trash.trim": (manifests, in_trash, 2),
        "histories.trim": (tag_history, true(), 2),
        "documents.mark": (policy_documents, policy_documents.c.unused_since.is_(None), 0),
        "layers.detach": (layers, layers.c.digest == digest_of(b"lone 2"), 0),
        "documents.delete": (policy_documents, true(), 0),
        "blobs.free": (blobs, blobs.c.orphaned_at.is_not(None), 0),
        "jobs.delete": (jobs, jobs.c.kind == "test.done", 0),
    }[kind]

    def work(conn: Connection) -> int:
        return int(conn.execute(select(func.count()).select_from(table).where(where)).scalar_one()) - expected

    return await world.bench.db.read(work)


def runner_of(world: World, kind: str) -> Runner:
    return Runner(world.bench.db, [replace(world.kinds[kind], schedule=Schedule(DAY))], world.bench.clock, lease=LEASE)


async def run_and_die(directory: Path, url: str | None, kind: str) -> None:
    """What the process does that is killed: it dies when the job has made its first step."""

    def die(_attempt: Attempt, _progress: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    patch = pytest.MonkeyPatch()
    small_batches(patch)
    patch.setattr(Attempt, "report", die)
    async with AsyncExitStack() as stack:
        world = await open_world(stack, directory, url)
        world.bench.clock.set(world.bench.clock.now() + LATER)
        await runner_of(world, kind).start()
        await asyncio.sleep(60)


def cases() -> list[Any]:
    """All kinds on SQLite; on PostgreSQL those whose statements or order of commits differ there."""
    on_postgresql = ("events.deliver", "uploads.expire", "trash.empty", "blobs.free", "jobs.delete")
    found = [("sqlite", kind) for kind in KINDS] + [("postgresql", kind) for kind in on_postgresql]
    return [pytest.param(database, kind, id=f"{kind}-{database}") for database, kind in found]


@pytest.mark.parametrize(("database_settings", "kind"), cases(), indirect=["database_settings"])
async def test_a_job_that_was_killed_is_taken_over_and_done_once(
    database_settings: Settings, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, url = tmp_path / "data", database_settings.database_url
    async with AsyncExitStack() as stack:
        world = await open_world(stack, directory, url)
        await prepare(world)
        for each in BEFORE:
            if each != kind or each == "leftovers.delete":
                await run(world.kinds[each])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.test_kill_jobs", str(directory), url or "", kind, cwd=ROOT
        )
        assert await asyncio.wait_for(process.wait(), 90) == -signal.SIGKILL

        def job(conn: Connection) -> rows.Job:
            (found,) = rows.page(conn, kind=kind, states=(), before=None, limit=10)
            return found

        killed = await world.bench.db.read(job)
        assert (killed.state, killed.attempts) == ("running", 1)
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
        world.bench.clock.set(world.bench.clock.now() + LATER)
        runner = runner_of(world, kind)
        await runner.start()
        try:
            async with asyncio.timeout(60):
                while (done := await world.bench.db.read(job)).state != "done":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            await runner.stop()
        assert (done.id, done.attempts, done.error) == (killed.id, 2, None)
        assert await left(world, kind) == 0
        assert await world.bench.db.read(wrong_counters) == []
        living = await world.bench.images.find(REF, "v1")
        assert living.digest
        for content in (b"config living", b"layer living"):
            layer = await world.bench.layers.stat(REF, digest_of(content))
            assert b"".join([chunk async for chunk in world.bench.layers.read(layer, 0, layer.size)]) == content


def test_every_kind_is_killed() -> None:
    names = re.findall(r'_kind\("([a-z.]+)"', Path(maintenance.__file__).read_text())
    assert sorted(KINDS) == sorted(names)


if __name__ == "__main__":
    asyncio.run(run_and_die(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3]))
