"""Several works in one transaction: all of it stays or nothing, on both databases."""

import asyncio

import pytest
from sqlalchemy import Connection, func, insert, select

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.within import in_one
from moorage.store.metadata.identity.tables import accounts


async def add(db: Database, account: str) -> str:
    def work(conn: Connection) -> str:
        conn.execute(insert(accounts).values(id=account, name="a", created_at=1.0))
        return account

    return await db.transaction(work)


async def count(db: Database) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(accounts)).scalar_one())


async def test_works_see_each_other_and_stay_together(database: Database) -> None:
    async def several(db: Database) -> int:
        await add(db, "111111111111")
        await add(db, "222222222222")
        return await count(db)

    assert await in_one(database, several) == 2
    assert await count(database) == 2


async def test_nothing_stays_when_one_of_them_fails(database: Database) -> None:
    async def several(db: Database) -> None:
        await add(db, "111111111111")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_one(database, several)
    assert await count(database) == 0


async def test_waiting_for_anything_else_is_refused(database: Database) -> None:
    async def several(db: Database) -> None:
        await add(db, "111111111111")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its database"):
        await in_one(database, several)
    assert await count(database) == 0


async def test_they_run_again_when_another_transaction_came_between(database: Database) -> None:
    async def grow(db: Database) -> None:
        await add(db, f"{await count(db):012}")

    await asyncio.gather(*(in_one(database, grow) for _ in range(8)))
    assert await count(database) == 8
