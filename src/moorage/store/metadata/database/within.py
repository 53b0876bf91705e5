"""Several works in one transaction: whoever asks a `Database` is handed one that stands for an open transaction."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy import Connection

from moorage.store.metadata.database.database import Database

T = TypeVar("T")


class Within:
    """A `Database` whose works all run on the connection of one transaction; whoever opened that commits it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def read(self, work: Callable[[Connection], T]) -> T:
        return work(self._conn)

    async def transaction(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,  # noqa: ARG002 - of the contract
        long: bool = False,  # noqa: ARG002 - of the contract
        by_row: bool = False,  # noqa: ARG002 - of the contract
        grows: bool = False,  # noqa: ARG002 - of the contract
        frees: bool = False,  # noqa: ARG002 - of the contract
    ) -> T:
        """When `work` raises, the whole transaction is to be given up: what `work` has done so far is still there."""
        return work(self._conn)

    def changed(self) -> int | None:
        return None

    async def close(self) -> None:
        """Nothing: the connection is not its own."""


async def in_one(db: Database, several: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """Run `several` in one transaction of `db`: all that it does to the database it is handed stays, or nothing.

    It may run more than once and in another thread, so it makes what it needs over that database, and awaits nothing
    else (RuntimeError: a transaction waits for nobody).
    """

    def work(conn: Connection) -> T:
        running = several(Within(conn))
        try:
            running.send(None)
        except StopIteration as ended:
            result: T = ended.value
            return result
        finally:
            running.close()
        raise RuntimeError("in a transaction nothing but its database can be awaited")

    return await db.transaction(work, long=True)
