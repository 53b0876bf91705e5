"""What both databases promise: snapshots, isolation, conflicts retried, schema as the tables say."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.audit.tables import audit_metadata
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_audit_database, open_database
from moorage.store.metadata.identity.tables import accounts
from moorage.store.metadata.migrations import AUDIT, METADATA, History
from moorage.store.metadata.tables import metadata
from tests.store.metadata.database.counting import counted


def add_account(account: str) -> Any:
    def work(conn: Connection) -> str:
        conn.execute(insert(accounts).values(id=account, name="a", created_at=1.0))
        return account

    return work


def count_accounts(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(accounts)).scalar_one()


async def test_a_new_database_has_epoch_one_and_no_accounts(database: Database) -> None:
    assert await database.read(counted) == 1
    assert await database.read(count_accounts) == 0


async def test_a_transaction_returns_what_its_work_returned_and_is_seen_at_once(database: Database) -> None:
    assert await database.transaction(add_account("111111111111")) == "111111111111"
    assert await database.read(count_accounts) == 1
    assert await database.transaction(add_account("222222222222"), durable=False) == "222222222222"
    assert await database.read(count_accounts) == 2


async def test_nothing_stays_of_work_that_raises(database: Database) -> None:
    def work(conn: Connection) -> None:
        add_account("111111111111")(conn)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.transaction(work)
    assert await database.read(count_accounts) == 0


async def test_work_that_raises_takes_no_other_with_it(database: Database) -> None:
    def fail(conn: Connection) -> None:
        conn.execute(insert(accounts).values(id="999999999999", name="a", created_at=1.0))
        raise ValueError("no")

    works = [fail if number % 3 == 0 else add_account(f"{number:012}") for number in range(90)]
    results = await asyncio.gather(*(database.transaction(work) for work in works), return_exceptions=True)
    assert [isinstance(result, ValueError) for result in results] == [number % 3 == 0 for number in range(90)]
    assert [result for result in results if isinstance(result, str)] == [f"{n:012}" for n in range(90) if n % 3]
    assert await database.read(count_accounts) == 60


async def test_a_duplicate_is_told_to_its_caller_alone(database: Database) -> None:
    results = await asyncio.gather(
        *(database.transaction(add_account("111111111111")) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, IntegrityError) for result in results) == 4
    assert await database.read(count_accounts) == 1


async def test_foreign_keys_are_checked(database: Database) -> None:
    from moorage.store.metadata.identity.tables import access_keys

    with pytest.raises(IntegrityError):
        await database.transaction(
            lambda conn: conn.execute(
                insert(access_keys).values(id="AKIA", account="404", secret="", active=True, created_at=1.0)
            )
        )


async def test_concurrent_increments_are_all_counted(database: Database) -> None:
    await asyncio.gather(*(database.transaction(epoch.advance) for _ in range(12)))
    assert await database.read(counted) == 13


async def test_check_then_insert_never_lets_two_in(database: Database) -> None:
    def first_only(conn: Connection) -> bool:
        if count_accounts(conn):
            return False
        add_account(f"{len(seen):012}")(conn)
        return True

    seen: list[int] = []

    async def one(number: int) -> bool:
        seen.append(number)
        return await database.transaction(first_only)

    assert sum(await asyncio.gather(*(one(number) for number in range(8)))) == 1


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await database.read(add_account("111111111111"))
    assert await database.read(count_accounts) == 0
    await database.transaction(add_account("111111111111"))


@pytest.mark.parametrize(("history", "tables"), [(METADATA, metadata), (AUDIT, audit_metadata)])
async def test_the_migrations_make_exactly_the_tables(
    empty_database_settings: Settings, history: History, tables: Any
) -> None:
    opened = await (open_database if history is METADATA else open_audit_database)(empty_database_settings)

    def difference(conn: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(conn, opts={"version_table": history.version_table}), tables)

    assert await opened.read(difference) == []
    await opened.close()


async def test_several_may_open_a_new_database_at_once(empty_database_settings: Settings) -> None:
    opened = await asyncio.gather(*(open_database(empty_database_settings) for _ in range(4)))
    for each in opened:
        assert await each.read(counted) == 1
        await each.close()


async def test_metadata_and_audit_open_side_by_side_and_again(empty_database_settings: Settings) -> None:
    for _ in range(2):
        for opened in await asyncio.gather(
            open_database(empty_database_settings), open_audit_database(empty_database_settings)
        ):
            await opened.close()
