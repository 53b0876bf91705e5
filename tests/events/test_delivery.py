"""The outbox: nothing that was committed is missed, whatever the order of the commits; delivered at least once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg
import pytest
from sqlalchemy import Connection, func, select
from structlog.testing import capture_logs

from moorage.clock import Clock
from moorage.events import delivery
from moorage.events.delivery import LOG, Delivery
from moorage.settings import Settings
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.events import outbox as rows
from moorage.store.metadata.tables import outbox
from tests.support.postgres import PostgresServer

DAY = 86_400.0
INSERT = "INSERT INTO outbox (at, account, region, kind, payload) VALUES (1, '1', '', 'test', $1) RETURNING id"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def add(conn: Connection, name: str, *, at: float = 1.0) -> None:
    rows.add(conn, at=at, account="1", region="eu-west-1", kind="test", payload=f'{{"name":"{name}","none":null}}')


async def all_of(steps: AsyncIterator[int]) -> int:
    return sum([number async for number in steps])


def names(logged: list[Any]) -> list[str]:
    return [each["name"] for each in logged if each["event"] == "event"]


class OnPostgres(NamedTuple):
    """A database on PostgreSQL, and connections of two other writers."""

    database: Database
    slow: Any
    quick: Any


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.migrated_database() as url:
        yield url


@pytest.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[OnPostgres]:
    database = await open_database(Settings(database_url=postgres_url))
    slow, quick = await asyncpg.connect(postgres_url), await asyncpg.connect(postgres_url)
    yield OnPostgres(database, slow, quick)
    await slow.close()
    await quick.close()
    await database.close()


async def test_an_event_that_is_committed_after_a_later_one_is_not_missed(
    on_postgres: OnPostgres, logged: list[Any]
) -> None:
    database, slow, quick = on_postgres
    transaction = slow.transaction()
    await transaction.start()
    first = await slow.fetchval(INSERT, '{"name":"slow"}')
    second = await quick.fetchval(INSERT, '{"name":"quick"}')
    assert first < second
    assert await all_of(delivery.deliver(database)) == 1
    assert names(logged) == ["quick"]
    await transaction.commit()
    assert await all_of(delivery.deliver(database)) == 1
    assert names(logged) == ["quick", "slow"]
    assert [each["position"] for each in logged] == [1, 2]


async def test_one_that_is_rolled_back_holds_nothing_up(on_postgres: OnPostgres, logged: list[Any]) -> None:
    database, lost, quick = on_postgres
    transaction = lost.transaction()
    await transaction.start()
    await lost.fetchval(INSERT, '{"name":"lost"}')
    await transaction.rollback()
    await quick.fetchval(INSERT, '{"name":"quick"}')
    await all_of(delivery.deliver(database))
    assert names(logged) == ["quick"]


async def test_writers_and_two_deliveries_at_once(
    database: Database, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that follows the positions sees each event once, and never one before an earlier position."""
    monkeypatch.setattr(delivery, "BATCH", 3)
    seen: list[int] = []
    written = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(15):
            await database.transaction(lambda conn, name=f"{writer}-{number}": add(conn, name))  # type: ignore[misc]

    async def deliver() -> None:
        while not written.is_set():
            await all_of(delivery.deliver(database))
        await all_of(delivery.deliver(database))

    async def read() -> None:
        while len(seen) < 60:
            found = await database.read(lambda conn: rows.after(conn, seen[-1] if seen else 0, 5))
            seen.extend(each.position for each in found)
            await asyncio.sleep(0.001)

    async def write_all() -> None:
        await asyncio.gather(*(write(writer) for writer in range(4)))
        written.set()

    async with asyncio.timeout(60):
        await asyncio.gather(write_all(), deliver(), deliver(), read())
    assert seen == list(range(1, 61))
    assert set(names(logged)) == {f"{writer}-{number}" for writer in range(4) for number in range(15)}
    assert not await database.read(lambda conn: rows.is_waiting(conn, LOG))


async def test_a_delivery_that_is_interrupted_repeats_its_batch(
    database: Database, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 2)
    for name in "abcde":
        await database.transaction(lambda conn, name=name: add(conn, name))  # type: ignore[misc]
    original = rows.move_cursor

    def move(conn: Connection, name: str, *, was: int, to: int) -> bool:
        if was:
            raise ConnectionError
        return original(conn, name, was=was, to=to)

    with monkeypatch.context() as broken:
        broken.setattr(rows, "move_cursor", move)
        with pytest.raises(ConnectionError):
            await all_of(delivery.deliver(database))
    await all_of(delivery.deliver(database))
    assert names(logged) == ["a", "b", "c", "d", "c", "d", "e"]


async def test_only_delivered_events_expire(database: Database, logged: list[Any], database_settings: Settings) -> None:
    clock = Clock()
    settings = replace(database_settings, outbox_seconds=DAY, event_log=True)
    events = Delivery(database, ElapsedTime(database, clock, settings), settings)
    await all_of(events.delete_expired())  # the clock is looked at
    await database.transaction(lambda conn: add(conn, "old", at=clock.now()))
    clock.set(clock.now() + 2 * DAY)
    assert await all_of(events.delete_expired()) == 0
    assert await events.waiting() == 1
    assert await all_of(events.deliver()) == 1
    await database.transaction(lambda conn: add(conn, "new", at=clock.now()))
    assert await all_of(events.deliver()) == 1
    assert await all_of(events.delete_expired()) == 1
    assert await _left(database) == 1
    assert [each for each in logged if each["log_level"] == "warning"] == []
    assert await events.waiting() == 0


async def test_the_oldest_of_too_many_are_lost_and_that_is_logged(
    database: Database, logged: list[Any], database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "EXPIRY_BATCH", 4)
    settings = replace(database_settings, outbox_events=5, event_log=True)
    events = Delivery(database, ElapsedTime(database, Clock(), settings), settings)
    for number in range(20):
        await database.transaction(lambda conn, number=number: add(conn, str(number), at=2e9))  # type: ignore[misc]
    await database.transaction(lambda conn: rows.give_positions(conn, 100), by_row=True)
    assert await all_of(events.delete_expired()) == 15
    assert sum(each["events"] for each in logged if each["log_level"] == "warning") == 15
    await all_of(events.deliver())
    assert names(logged) == ["15", "16", "17", "18", "19"]


async def test_without_a_target_events_wait_until_they_expire(
    database: Database, logged: list[Any], database_settings: Settings
) -> None:
    clock = Clock()
    silent = Delivery(database, ElapsedTime(database, clock, database_settings), database_settings)
    await all_of(silent.delete_expired())  # the clock is looked at
    await database.transaction(lambda conn: add(conn, "old", at=clock.now()))
    clock.set(clock.now() + 8 * DAY)
    await database.transaction(lambda conn: add(conn, "new", at=clock.now()))
    assert not await database.read(silent.is_waiting)
    assert await all_of(silent.deliver()) == 0
    assert await silent.waiting() == 0
    assert await all_of(silent.delete_expired()) == 1
    assert logged == []
    settings = replace(database_settings, event_log=True)
    events = Delivery(database, ElapsedTime(database, clock, settings), settings)
    assert await database.read(events.is_waiting)
    await all_of(events.deliver())
    assert names(logged) == ["new"]


async def test_a_line_has_what_the_row_has(database: Database, logged: list[Any]) -> None:
    await database.transaction(lambda conn: add(conn, "a"))
    await all_of(delivery.deliver(database))
    assert logged == [
        {
            "event": "event",
            "log_level": "info",
            "position": 1,
            "at": 1.0,
            "account": "1",
            "region": "eu-west-1",
            "kind": "test",
            "name": "a",
        }
    ]


async def _left(database: Database) -> int:
    return await database.read(lambda conn: int(conn.execute(select(func.count()).select_from(outbox)).scalar_one()))
