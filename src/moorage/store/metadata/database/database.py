"""The contract of the metadata store: `read`, `transaction`, `changed`. SQLite and PostgreSQL fulfil it.

Statements are written once, in SQLAlchemy Core, as plain functions of a `Connection` (one module a noun beside this
file). A store runs them: SQLite inline on held connections with group commit, PostgreSQL through asyncpg.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Database(Protocol):
    """Where metadata lives. Every method may be called from any task of the event loop that opened it."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns on a consistent snapshot. `work` must not write."""
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
        """Run `work` alone, commit, return what it returned; when it raises, nothing of it stays.

        Transactions are serialisable. `work` may run more than once (a conflict, a failed group), so it must do nothing
        but talk to its connection. With `durable` the answer comes after the data is on disk; without it the data
        survives the death of the process but perhaps not of the machine. Others may see it a moment before it is
        durable. `long`: `work` takes more than a few milliseconds and must not hold the event loop up. `by_row`: `work`
        needs no snapshot, because each of its statements checks what it changes; on PostgreSQL it runs READ COMMITTED,
        so that transactions that count in one row wait for each other instead of colliding.

        A full disk raises `moorage.errors.InsufficientStorage`. Where the database shares its disk with the blobs,
        some room is reserved (`store/reserve.py`): `grows`, for a `work` that stores what a client pushes, raises it
        when only that room is left; `frees`, for one that deletes, may use the last of it.
        """
        ...

    def changed(self) -> int | None:
        """A number that differs from the last one whenever anybody has committed anything since; at most about 5 µs.

        It is as new as the turn of the event loop in which it is asked for, and so newer than the request that asks.
        None where the database cannot tell that cheaply (PostgreSQL): then ask it, with the row you need.
        """
        ...

    async def close(self) -> None: ...
