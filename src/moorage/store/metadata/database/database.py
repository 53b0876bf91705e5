"""The contract of the metadata store: `read`, `transaction`, `changed`, `close`. SQLite and PostgreSQL implement it.

Statements are written once, in SQLAlchemy Core, as plain functions of a `Connection`, in a folder for each capability
beside this one. SQLite runs them on the event loop with group commit, PostgreSQL through asyncpg.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Database(Protocol):
    """The database of the metadata. Every method may be called from any task of the event loop that opened it."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, on a consistent snapshot. `work` must not write."""
        ...

    async def transaction(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        long: bool = False,
        by_row: bool = False,
        grows: bool = False,
        frees: bool = False,
    ) -> T:
        """Run `work` in a transaction, commit, and return what it returned. If it raises, everything is rolled back.

        Transactions are serializable. `work` may run more than once (after a conflict, or when its group failed), so it
        must do nothing but talk to its connection.

        `durable`: return after the data is on disk. Without it the data survives the death of the process, but perhaps
        not of the machine. Others may see the data a moment before it is durable.
        `long`: `work` takes more than a few milliseconds and must not block the event loop.
        `by_row`: `work` needs no snapshot, because each of its statements checks what it changes. On PostgreSQL it runs
        READ COMMITTED, so that transactions that update the same row wait for each other instead of failing.

        A full disk raises `moorage.errors.InsufficientStorage`. If the database shares its disk with the blobs, some
        space is reserved (`store/reserve.py`). `grows`, for work that stores what a client pushes, raises the error if
        only the reserve is left. `frees`, for work that deletes, may use the reserve.
        """
        ...

    def changed(self) -> int | None:
        """Return a number that changes whenever anybody commits anything. It takes about 5 µs.

        It is read once in an iteration of the event loop, so it is newer than the request that the iteration handles.
        None if the database cannot tell this cheaply (PostgreSQL): then read the epoch together with the rows.
        """
        ...

    async def close(self) -> None:
        """Finish the transactions that wait, and close the connections."""
        ...
