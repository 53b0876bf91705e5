"""Runners: jobs run once, are taken over, tried again, canceled and due, on each database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, update

from moorage.clock import Clock
from moorage.errors import InsufficientStorage
from moorage.jobs import runner as module
from moorage.jobs.kind import Attempt, JobFailed, Kind, NoPayload, Schedule, backoff
from moorage.jobs.runner import Runner
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.jobs import jobs as rows
from moorage.store.metadata.jobs import schedules
from moorage.store.metadata.jobs.tables import jobs

Run = Callable[[Attempt, Any], Awaitable[None]]


class Work(msgspec.Struct, frozen=True):
    item: str = ""


def kind(run: Run, *, name: str = "test.work", attempts: int = 3) -> Kind[Work]:
    return Kind(name, Work, run, attempts)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(module, "backoff", lambda _attempt: 0.01)


@asynccontextmanager
async def running(db: Database, *kinds: Kind[Any], clock: Clock | None = None, **more: Any) -> AsyncIterator[Runner]:
    made = Runner(db, kinds, clock or Clock(), **more)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def enqueue(db: Database, item: str = "", **more: Any) -> int | None:
    payload = msgspec.json.encode(Work(item)).decode()
    return await db.transaction(lambda conn: rows.enqueue(conn, "test.work", payload, **{"now": Clock().now()} | more))


async def found(db: Database, job: int | None) -> Any:
    assert job is not None
    row = await db.read(lambda conn: rows.find(conn, job))
    assert row is not None
    return row


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


async def until_state(db: Database, job: int | None, state: str) -> Any:
    async def holds() -> bool:
        return bool((await found(db, job)).state == state)

    await until(holds)
    return await found(db, job)


async def test_each_job_runs_once_however_many_runners_there_are(database: Database) -> None:
    ran: list[str] = []

    async def run(_: Attempt, work: Work) -> None:
        ran.append(work.item)
        await asyncio.sleep(0.001)

    async with running(database, kind(run)), running(database, kind(run)), running(database, kind(run)):
        ids = [await enqueue(database, str(number)) for number in range(30)]
        for each in ids:
            await until_state(database, each, "done")
    assert sorted(ran, key=int) == [str(number) for number in range(30)]


async def test_a_key_is_unfinished_at_most_once(database: Database) -> None:
    first = await enqueue(database, key="app")
    assert await enqueue(database, key="app") is None
    assert await enqueue(database, key="other") is not None
    gate = asyncio.Event()

    async def run(_: Attempt, _work: Work) -> None:
        await gate.wait()

    async with running(database, kind(run)):
        await until_state(database, first, "running")
        assert await enqueue(database, key="app") is None
        gate.set()
        await until_state(database, first, "done")
        assert await enqueue(database, key="app") is not None


async def test_fifty_at_once_with_one_key_queue_one(database: Database) -> None:
    ids = await asyncio.gather(*(enqueue(database, key="app") for _ in range(50)))
    assert len([each for each in ids if each is not None]) == 1


async def test_a_failure_is_tried_again_and_in_the_end_listed(database: Database) -> None:
    numbers: list[int] = []

    async def run(attempt: Attempt, _: Work) -> None:
        numbers.append(attempt.number)
        raise ValueError("the upstream is away")

    async with running(database, kind(run)):
        job = await enqueue(database)
        dead = await until_state(database, job, "dead")
        assert numbers == [1, 2, 3]
        assert dead.error == "ValueError: the upstream is away"
        assert await database.transaction(lambda conn: rows.retry(conn, dead.id, now=Clock().now()))
        await until(lambda: len(numbers) == 6)
        await until_state(database, job, "dead")
    assert numbers == [1, 2, 3, 1, 2, 3]


async def test_what_cannot_succeed_is_dead_at_once(database: Database) -> None:
    async def run(_: Attempt, _work: Work) -> None:
        raise JobFailed("there is no such upstream")

    async with running(database, kind(run)):
        dead = await until_state(database, await enqueue(database), "dead")
        assert (dead.attempts, dead.error) == (1, "there is no such upstream")
        unreadable = await database.transaction(lambda conn: rows.enqueue(conn, "test.work", '{"item":1}', now=0))
        assert "cannot be read" in (await until_state(database, unreadable, "dead")).error


async def test_a_job_waits_until_it_is_due(database: Database) -> None:
    ran = asyncio.Event()

    async def run(_: Attempt, _work: Work) -> None:
        ran.set()

    clock = Clock()
    async with running(database, kind(run), clock=clock):
        job = await enqueue(database, run_at=clock.now() + 3600)
        await asyncio.sleep(0.1)
        assert (await found(database, job)).state == "queued"
        clock.set(clock.now() + 3601)
        await until_state(database, job, "done")


async def test_urgent_ones_come_first(database: Database) -> None:
    ran: list[str] = []

    async def run(_: Attempt, work: Work) -> None:
        ran.append(work.item)

    for item, priority in (("low", -1), ("usual", 0), ("urgent", 5)):
        await enqueue(database, item, priority=priority)
    async with running(database, kind(run), places=1):
        await until(lambda: len(ran) == 3)
    assert ran == ["urgent", "usual", "low"]


async def test_another_takes_over_and_the_late_one_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates: dict[int, asyncio.Event] = {1: asyncio.Event(), 2: asyncio.Event()}
    begun: list[int] = []

    async def run(attempt: Attempt, _: Work) -> None:
        begun.append(attempt.number)
        await asyncio.shield(gates[attempt.number].wait())
        attempt.report({"by": attempt.number})

    late = Runner(database, [kind(run)], Clock(), lease=0.3)

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(late, "_renew_forever", never)  # as if its machine stood still
    await late.start()
    job = await enqueue(database)
    await until(lambda: begun == [1])
    late._places = 0
    async with running(database, kind(run)):
        await until(lambda: begun == [1, 2])
        gates[1].set()
        await until(lambda: not late._running and not late._ended)
        assert (await found(database, job)).state == "running"
        gates[2].set()
        done = await until_state(database, job, "done")
    assert (done.attempts, msgspec.json.decode(done.progress)) == (2, {"by": 2})
    await late.stop()
    assert await found(database, job) == done


async def test_a_runner_that_finds_its_lease_lost_ends_the_attempt(database: Database) -> None:
    ended = asyncio.Event()

    async def run(_: Attempt, _work: Work) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise

    async with running(database, kind(run), lease=0.3):
        job = await enqueue(database)
        await until_state(database, job, "running")

        def steal(conn: Connection) -> None:
            conn.execute(update(jobs).where(jobs.c.id == job).values(leased_by="another", attempts=2))

        await database.transaction(steal)
        await asyncio.wait_for(ended.wait(), 60)
    assert (await found(database, job)).leased_by == "another"


async def test_leases_are_renewed_and_progress_is_seen(database: Database) -> None:
    gate = asyncio.Event()

    async def run(attempt: Attempt, _: Work) -> None:
        attempt.report({"images": 7})
        await gate.wait()

    async with running(database, kind(run), lease=3.0), running(database, kind(run), lease=3.0):
        job = await enqueue(database)

        async def reported() -> bool:
            return bool((await found(database, job)).progress == '{"images":7}')

        await until(reported)
        first = (await found(database, job)).leased_until

        async def is_renewed() -> bool:
            return bool((await found(database, job)).leased_until > first + 3.0)  # after the first lease has run out

        await until(is_renewed)
        assert (await found(database, job)).attempts == 1
        gate.set()
        await until_state(database, job, "done")


async def test_canceling(database: Database) -> None:
    begun = asyncio.Event()

    async def run(attempt: Attempt, _: Work) -> None:
        begun.set()
        while True:
            attempt.report(None)
            await asyncio.sleep(0.01)

    now = Clock().now()
    waiting = await enqueue(database, run_at=now + 3600)
    assert await database.transaction(lambda conn: rows.cancel(conn, waiting or 0, now=now))
    assert (await found(database, waiting)).state == "canceled"
    assert not await database.transaction(lambda conn: rows.cancel(conn, waiting or 0, now=now))
    async with running(database, kind(run), lease=0.3):
        job = await enqueue(database)
        await begun.wait()
        assert await database.transaction(lambda conn: rows.cancel(conn, job or 0, now=now))
        await until_state(database, job, "canceled")
    assert await database.transaction(lambda conn: rows.retry(conn, job or 0, now=now))
    assert (await found(database, job)).state == "queued"


async def test_one_that_kills_its_runner_each_time_is_dead(database: Database) -> None:
    ran = False

    async def run(_: Attempt, _work: Work) -> None:
        nonlocal ran
        ran = True

    job = await enqueue(database)

    def die(conn: Connection) -> None:
        for _ in range(3):
            assert rows.claim(conn, "dead", ["test.work"], 1, now=Clock().now(), seconds=-1)

    await database.transaction(die)
    async with running(database, kind(run)):
        assert (await until_state(database, job, "dead")).error == "its runner died each time"
    assert not ran


async def test_a_runner_that_stops_gives_its_jobs_back(database: Database) -> None:
    seen: list[tuple[int, Any]] = []

    async def run(attempt: Attempt, _work: Work) -> None:
        seen.append((attempt.number, attempt.progress))
        if attempt.progress == "half":
            return
        while True:
            attempt.report("half")
            await asyncio.sleep(0.01)

    async with running(database, kind(run), lease=0.3):
        job = await enqueue(database)
        await until(lambda: len(seen) == 1)

        async def stored() -> bool:
            return bool((await found(database, job)).progress == '"half"')

        await until(stored)
    back = await found(database, job)
    assert (back.state, back.attempts, back.leased_by) == ("queued", 0, None)
    async with running(database, kind(run)):
        await until_state(database, job, "done")
    assert seen == [(1, None), (1, "half")]


async def test_a_runner_that_is_woken_while_it_stops_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600)
    for turns in range(5):
        runner = Runner(database, [], Clock())
        await runner.start()
        await asyncio.sleep(0.05)
        runner.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await runner.stop()


async def test_what_was_claimed_while_a_runner_stops_is_released(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Canceled after its transaction has committed, before it knows."""
    job = await enqueue(database)
    transaction, committed = database.transaction, asyncio.Event()

    async def slow(work: Any, **how: Any) -> Any:
        result = await transaction(work, **how)
        if result and not committed.is_set():
            committed.set()
            await asyncio.Event().wait()
        return result

    async def run(_: Attempt, _work: Work) -> None:
        raise AssertionError("it must not run")

    monkeypatch.setattr(database, "transaction", slow)
    runner = Runner(database, [kind(run)], Clock())
    await runner.start()
    await asyncio.wait_for(committed.wait(), 60)
    assert (await found(database, job)).state == "running"
    await runner.stop()
    back = await found(database, job)
    assert (back.state, back.attempts, back.leased_by) == ("queued", 0, None)


async def test_a_database_that_cannot_be_written_neither_ends_a_runner_nor_keeps_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = asyncio.Event()

    async def run(_: Attempt, _work: Work) -> None:
        ran.set()

    async def full(_work: Any, **_how: Any) -> Any:
        raise InsufficientStorage

    monkeypatch.setattr(module, "MAX_PAUSE", 0.02)
    job = await enqueue(database)
    runner = Runner(database, [kind(run)], Clock())
    with monkeypatch.context() as broken:
        broken.setattr(database, "transaction", full)
        await runner.start()
        await asyncio.sleep(0.1)
    await asyncio.wait_for(ran.wait(), 60)
    await until_state(database, job, "done")
    with monkeypatch.context() as broken:
        broken.setattr(database, "transaction", full)
        async with asyncio.timeout(30):
            await runner.stop()


async def test_schedules(database: Database) -> None:
    ran: list[int] = []

    async def run(attempt: Attempt, _: NoPayload) -> None:
        ran.append(attempt.job)

    hourly = Kind("test.hourly", NoPayload, run, schedule=Schedule(3600))
    clock = Clock()
    async with running(database, hourly, clock=clock), running(database, hourly, clock=clock):
        await until(lambda: len(ran) == 1)
        await asyncio.sleep(0.1)
        assert len(ran) == 1
        clock.set(clock.now() + 3601)
        await until(lambda: len(ran) == 2)
        clock.set(clock.now() - 1_000_000)
    async with running(database, hourly, clock=clock):
        clock.set(clock.now() + 3601)
        await until(lambda: len(ran) == 3)
    async with running(database):
        pass
    assert await database.read(schedules.all_of) == {}


async def test_ended_jobs_are_forgotten(database: Database) -> None:
    async def run(_: Attempt, _work: Work) -> None:
        pass

    async with running(database, kind(run)):
        job = await enqueue(database)
        await until_state(database, job, "done")
    waiting = await enqueue(database)
    assert await database.read(rows.counts) == {("test.work", "done"): 1, ("test.work", "queued"): 1}
    assert await database.transaction(lambda conn: rows.delete_finished(conn, 0, 100)) == 0
    assert await database.transaction(lambda conn: rows.delete_finished(conn, Clock().now() + 1, 100)) == 1
    page = await database.read(lambda conn: rows.page(conn, kind=None, states=(), before=None, limit=10))
    assert [each.id for each in page] == [waiting]


def test_backoff() -> None:
    assert [backoff(attempt) for attempt in (1, 2, 3, 11, 12, 50)] == [2, 4, 8, 2048, 3600, 3600]
