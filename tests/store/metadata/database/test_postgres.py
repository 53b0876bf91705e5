"""What only PostgreSQL can do to us: collisions, a full disk, connections that die."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from moorage.errors import InsufficientStorage
from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.database.postgres import UNIQUE_ATTEMPTS
from tests.store.metadata.database.counting import counted
from tests.support.postgres import PostgresServer


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    opened = await open_database(Settings(database_url=postgres.new_database()))
    yield opened
    await opened.close()


def fail_with(conn: Connection, code: str) -> None:
    conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))


@pytest.mark.parametrize(("code", "times"), [("40001", 4), ("40P01", 4), ("23505", 2)])
async def test_a_collision_is_run_again(database: Database, code: str, times: int) -> None:
    runs = 0

    def work(conn: Connection) -> str:
        nonlocal runs
        runs += 1
        epoch.advance(conn)
        if runs <= times:
            fail_with(conn, code)
        return "done"

    assert await database.transaction(work) == "done"
    assert runs == times + 1
    assert await database.read(counted) == 2


@pytest.mark.parametrize(("code", "runs_expected"), [("23505", UNIQUE_ATTEMPTS), ("23503", 1), ("22012", 1)])
async def test_an_error_that_stays_is_told(database: Database, code: str, runs_expected: int) -> None:
    runs = 0

    def work(conn: Connection) -> None:
        nonlocal runs
        runs += 1
        fail_with(conn, code)

    with pytest.raises(DBAPIError):
        await database.transaction(work)
    assert runs == runs_expected


async def test_a_slow_transaction_gets_its_turn_among_many_quick_ones(postgres: PostgresServer) -> None:
    """Every quick one that commits meanwhile makes the slow one collide, until it is let alone."""
    url = postgres.new_database()
    workers = [await open_database(Settings(database_url=url)) for _ in range(3)]
    done = asyncio.Event()
    quick = 0

    def slow(conn: Connection) -> None:
        value = epoch.current(conn).value
        conn.execute(text("SELECT pg_sleep(0.2)"))
        conn.execute(text(f"UPDATE epoch SET value = {value + 1}"))

    async def keep_writing(worker: Database) -> int:
        count = 0
        while not done.is_set():
            await worker.transaction(epoch.advance)
            count += 1
        return count

    writing = [asyncio.create_task(keep_writing(worker)) for worker in workers for _ in range(3)]
    try:
        await workers[0].transaction(slow)
    finally:
        done.set()
        quick = sum(await asyncio.gather(*writing))
    assert quick > 0
    assert await workers[0].read(counted) == 1 + 1 + quick  # none was lost
    for worker in workers:
        await worker.close()


async def test_a_full_disk_is_told_by_name(database: Database) -> None:
    def work(conn: Connection) -> None:
        epoch.advance(conn)
        fail_with(conn, "53100")

    with pytest.raises(InsufficientStorage):
        await database.transaction(work)
    assert await database.read(counted) == 1


@pytest.mark.usefixtures("postgres")
async def test_reading_survives_the_loss_of_its_connections(database: Database) -> None:
    def others(conn: Connection) -> None:
        conn.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"))

    assert await database.read(counted) == 1
    with pytest.raises(DBAPIError):
        await database.transaction(others)
    assert await database.read(counted) == 1


async def test_it_cannot_tell_cheaply_whether_anything_changed(database: Database) -> None:
    assert database.changed() is None


async def test_what_need_not_be_durable_does_not_wait_for_the_disk(database: Database) -> None:
    def setting(conn: Connection) -> str:
        return str(conn.execute(text("SHOW synchronous_commit")).scalar_one())

    assert await database.transaction(setting, durable=False) == "off"
    assert await database.transaction(setting) == "on"
