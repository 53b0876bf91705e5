"""The sweep: what it ends, what it must leave, and pushes of the same bytes at that moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from moorage.errors import ImageNotFound, LayersNotFound, UploadNotFound
from moorage.jobs.runner import Runner
from moorage.registry.images.types import ImageId
from moorage.registry.maintenance import RegistryMaintenance
from moorage.store.blobs.store import Staged
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.identity.tables import accounts, sessions
from moorage.store.metadata.jobs import jobs as rows
from moorage.store.metadata.tables import blob_contents, blobs, outbox, repositories, upload_pieces
from tests.registry.pushing import BY, OTHER, REF, Bench, digest_of, stream
from tests.support.sweep import Sweep, kinds_of

HOUR, DAY = 3600.0, 86400.0


def _sweep(bench: Bench) -> Sweep:
    return Sweep(bench.db, bench.blobs, bench.images, bench.clock, bench.settings)


def _later(bench: Bench, seconds: float) -> None:
    bench.clock.set(bench.clock.now() + seconds)


async def _kept(bench: Bench) -> set[str]:
    """Digests of the blobs that there are rows of, each of which must have its bytes."""

    def work(conn: Connection) -> tuple[dict[str, str], set[str]]:
        rows = {row.digest: row.object_key for row in conn.execute(select(blobs))}
        return rows, set(conn.execute(select(blob_contents.c.digest)).scalars())

    rows, contents = await bench.db.read(work)
    objects = {each.name async for each in bench.blobs.leftovers() if each.kind == "object"}
    assert {key for key in rows.values() if key} == objects
    assert {digest for digest, key in rows.items() if not key} == contents
    return set(rows)


async def _contents_of_uploads(bench: Bench) -> list[str]:
    return await bench.db.read(lambda conn: list(conn.execute(select(upload_pieces.c.upload_id)).scalars()))


async def test_nothing_to_sweep(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    upload = await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, upload.id, stream(b"half"))
    sweep = _sweep(bench)
    await sweep.run_once()
    _later(bench, 2 * HOUR)
    await sweep.run_once()
    assert (await bench.images.find(REF, "v1")).digest == digest
    assert len(await _kept(bench)) == 2
    assert (await bench.uploads.status(REF, upload.id)).size == 4


async def test_a_resting_upload_ends(bench: Bench) -> None:
    resting, busy = await bench.uploads.begin(REF, BY), await bench.uploads.begin(REF, BY)
    await bench.uploads.append(REF, resting.id, stream(b"half"))
    _later(bench, DAY - HOUR)
    await bench.uploads.append(REF, busy.id, stream(b"more"))
    _later(bench, 2 * HOUR)
    await _sweep(bench).run_once()
    with pytest.raises(UploadNotFound):
        await bench.uploads.status(REF, resting.id)
    assert (await bench.uploads.status(REF, busy.id)).size == 4
    in_files = bench.settings.small_layer_bytes == 0
    assert [each.name async for each in bench.blobs.leftovers()] == ([busy.id] if in_files else [])
    assert await _contents_of_uploads(bench) == ([] if in_files else [busy.id])


async def test_a_blob_goes_when_no_repository_holds_it(bench: Bench) -> None:
    digest = (await bench.layer(b"shared")).digest
    await bench.layer(b"shared", OTHER)
    await bench.layers.delete(REF, digest, BY)
    await bench.layers.delete(OTHER, digest, BY)
    sweep = _sweep(bench)
    await sweep.run_once()
    assert await _kept(bench) == {digest}
    _later(bench, 2 * HOUR)
    await sweep.run_once()
    assert await _kept(bench) == set()


async def test_a_blob_stays_while_one_repository_holds_it(bench: Bench) -> None:
    await bench.image("a")
    digest = digest_of(b"layer a")
    await bench.layer(b"layer a", OTHER)
    await bench.layers.delete(OTHER, digest, BY)
    for _ in range(3):
        _later(bench, 2 * HOUR)
        await _sweep(bench).run_once()
    assert digest in await _kept(bench)
    assert (await bench.layers.stat(REF, digest)).size == 7


async def test_a_layer_that_no_image_uses_goes(bench: Bench) -> None:
    lone = (await bench.layer(b"lone")).digest
    await bench.image("a")
    _later(bench, 2 * HOUR)
    await _sweep(bench).run_once()
    with pytest.raises(LayersNotFound):
        await bench.layers.stat(REF, lone)
    _later(bench, 2 * HOUR)
    await _sweep(bench).run_once()
    assert await _kept(bench) == {digest_of(b"config a"), digest_of(b"layer a")}


async def test_a_deleted_image_is_kept_whole_until_the_trash_is_emptied(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    await bench.images.batch_delete(REF, [ImageId(digest)], by=BY, api="ecr")
    sweep = _sweep(bench)
    _later(bench, 6 * DAY)
    await sweep.run_once()
    assert len(await _kept(bench)) == 2
    _later(bench, 2 * DAY)
    await sweep.run_once()
    assert (await bench.layers.stat(REF, digest_of(b"layer a"))).size == 7  # for a client that has just asked
    for _ in range(2):
        _later(bench, 2 * HOUR)
        await sweep.run_once()
    assert await _kept(bench) == set()
    with pytest.raises(ImageNotFound):
        await bench.images.find(REF, digest)


async def test_a_deleted_layer_is_kept_until_the_images_that_need_it_are_destroyed(bench: Bench) -> None:
    digest = await bench.image("a")
    await bench.images.batch_delete(REF, [ImageId(digest)], by=BY, api="ecr")
    for content in (b"config a", b"layer a"):
        await bench.layers.delete(REF, digest_of(content), BY)
    sweep = _sweep(bench)
    _later(bench, 6 * DAY)
    await sweep.run_once()
    assert len(await _kept(bench)) == 2
    for hours in (2 * 24, 2, 2):
        _later(bench, hours * HOUR)
        await sweep.run_once()
    assert await _kept(bench) == set()


async def test_a_deleted_repository_goes_with_all_it_holds(bench: Bench) -> None:
    await bench.image("a")
    await bench.layer(b"layer a", OTHER)
    await bench.uploads.begin(REF, BY)
    await bench.repositories.delete(REF, force=True, by=BY)
    sweep = _sweep(bench)
    _later(bench, 8 * DAY)
    await bench.layer(b"layer a", OTHER)
    await sweep.run_once()
    _later(bench, HOUR / 2)
    await sweep.run_once()
    _later(bench, HOUR / 2 + 1)
    await bench.layer(b"layer a", OTHER)
    await sweep.run_once()
    assert await _kept(bench) == {digest_of(b"layer a")}

    def work(conn: Connection) -> list[str]:
        return list(conn.execute(select(repositories.c.name)).scalars())

    assert await bench.db.read(work) == [OTHER.name]


async def test_leftovers_without_a_row_go_after_two_looks(bench: Bench) -> None:
    kept = await bench.image("a")
    for name in ("left-object", "left-upload"):
        staged = await bench.blobs.append(Staged(name), stream(b"x"))
        if name == "left-object":
            await bench.blobs.commit(staged)
    sweep = _sweep(bench)
    _later(bench, 2 * HOUR)
    await sweep.run_once()
    _later(bench, HOUR / 2)
    await sweep.run_once()
    assert {"left-object", "left-upload"} <= {each.name async for each in bench.blobs.leftovers()}
    _later(bench, HOUR / 2 + 1)
    await sweep.run_once()
    assert len(await _kept(bench)) == 2
    assert [each.name async for each in bench.blobs.leftovers() if each.kind == "upload"] == []
    assert (await bench.images.find(REF, kept)).digest == kept


async def test_expired_sessions_and_old_events_go(bench: Bench) -> None:
    _later(bench, 8.5 * DAY)
    now = bench.clock.now()

    def prepare(conn: Connection) -> None:
        conn.execute(insert(accounts).values(id=REF.account, name="a", created_at=now))
        for session, expires_at in (("ASIAOLD", now - 2 * DAY), ("ASIANEW", now + HOUR)):
            conn.execute(
                insert(sessions).values(
                    id=session,
                    account=REF.account,
                    kind="session",
                    name="",
                    chained=False,
                    secret="",
                    token_hash="",
                    issued_at=now,
                    expires_at=expires_at,
                )
            )
        values = {"account": REF.account, "region": REF.region, "kind": "test.old", "payload": "{}"}
        conn.execute(insert(outbox).values(at=now - 8 * DAY, **values))
        conn.execute(insert(outbox).values(at=now, **{**values, "kind": "test.new"}))

    await bench.db.transaction(prepare)
    # Events made when the repositories were come before: the clock of an outbox runs one way.
    await bench.db.transaction(lambda _conn: None)
    await _sweep(bench).run_once()

    def left(conn: Connection) -> tuple[list[str], list[str]]:
        kinds = conn.execute(select(outbox.c.kind).where(outbox.c.kind.like("test.%"))).scalars()
        return list(conn.execute(select(sessions.c.id)).scalars()), list(kinds)

    assert await bench.db.read(left) == (["ASIANEW"], ["test.new"])


async def test_pulls_are_written(bench: Bench) -> None:
    digest = await bench.image("a")
    bench.images.record_pull((await bench.images.find(REF, digest)).id)
    await _sweep(bench).run_once()
    (image,) = await bench.images.describe(REF, [ImageId(digest)])
    assert image.last_pulled_at is not None


async def test_pushes_while_sweeps_free_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    """With no grace at all: every push either finds the blob or stores it again; none is left without its bytes."""
    eager = Bench.over(bench.db, tmp_path)
    eager.settings = replace(eager.settings, blob_grace_seconds=0.0)
    sweeps = [_sweep(eager), _sweep(eager)]
    pushed = 0

    async def push_and_delete(ref_number: int) -> None:
        nonlocal pushed
        ref = (REF, OTHER)[ref_number % 2]
        for _ in range(8):
            layer = await eager.layer(b"wanted and not", ref)
            try:
                assert b"".join([c async for c in eager.layers.read(layer, 0, layer.size)]) == b"wanted and not"
                await eager.layers.delete(ref, layer.digest, BY)
            except (LayersNotFound, LookupError):
                pass  # without grace the sweep may be as quick as that
            pushed += 1

    async def sweep_often(sweep: Sweep) -> None:
        for _ in range(8):
            await sweep.run_once()

    await asyncio.gather(*(push_and_delete(number) for number in range(4)), *(sweep_often(each) for each in sweeps))
    assert pushed == 32
    await eager.image("wanted")
    assert {digest_of(b"config wanted"), digest_of(b"layer wanted")} <= await _kept(eager)


async def test_sweeping_goes_on_after_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that fails is tried again, and the others run meanwhile."""
    monkeypatch.setattr("moorage.jobs.runner.POLL_SECONDS", 0.02)
    monkeypatch.setattr("moorage.jobs.runner.backoff", lambda _attempt: 0.01)
    bench.settings = replace(bench.settings, sweep_interval_seconds=0.01)
    done, calls = asyncio.Event(), 0

    async def expire_uploads(_: RegistryMaintenance) -> AsyncIterator[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("no luck")
        done.set()
        yield 0

    monkeypatch.setattr(RegistryMaintenance, "expire_uploads", expire_uploads)
    kinds = kinds_of(
        bench.db, bench.blobs, ElapsedTime(bench.db, bench.clock, bench.settings), bench.clock, bench.settings
    )
    runner = Runner(bench.db, kinds, bench.clock)
    await runner.start()
    try:
        await asyncio.wait_for(done.wait(), 60)
    finally:
        await runner.stop()
    done_by = await bench.db.read(rows.counts)
    assert done_by["trash.empty", "done"] >= 1
