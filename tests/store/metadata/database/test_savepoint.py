"""A part of a transaction can be undone while the rest stays, on both databases."""

import pytest
from sqlalchemy import Connection

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.savepoint import Savepoint
from moorage.store.metadata.identity import accounts


async def known(database: Database) -> list[str]:
    return await database.read(accounts.known)


async def test_what_is_undone_leaves_the_rest_of_the_transaction(database: Database) -> None:
    def work(conn: Connection) -> list[str]:
        accounts.add(conn, "111111111111", "", 1.0)
        savepoint = Savepoint(conn)
        accounts.add(conn, "222222222222", "", 1.0)
        seen = accounts.known(conn)
        savepoint.undo()
        savepoint = Savepoint(conn)
        accounts.add(conn, "333333333333", "", 1.0)
        savepoint.keep()
        return seen

    assert await database.transaction(work, long=True) == ["111111111111", "222222222222"]
    assert await known(database) == ["111111111111", "333333333333"]


@pytest.mark.parametrize("long", [True, False])
async def test_a_transaction_that_fails_behind_a_savepoint_is_undone_as_a_whole(database: Database, long: bool) -> None:
    def work(conn: Connection) -> None:
        accounts.add(conn, "111111111111", "", 1.0)
        Savepoint(conn)
        accounts.add(conn, "222222222222", "", 1.0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.transaction(work, long=long)
    assert await known(database) == []
    # The connection is as good as before.
    await database.transaction(lambda conn: accounts.add(conn, "333333333333", "", 1.0), long=long)
    assert await known(database) == ["333333333333"]
