"""Metadata in PostgreSQL through asyncpg: serialisable transactions, run again when they collide.

One that keeps colliding, as a long one does among many short ones, is at last let alone: it waits until those under way
have ended, and holds up those that come.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from moorage.errors import InsufficientStorage, UnstorableText
from moorage.store.metadata.migrations import History, is_current, upgrade

T = TypeVar("T")

ATTEMPTS = 20  # of one transaction that keeps colliding
BESIDE_OTHERS = 4  # so many of them beside others; only long transactions can collide with the next
UNIQUE_ATTEMPTS = 12  # statements look before they insert, so it is nearly always a collision
CONNECTIONS = 10  # per worker process
WRITERS = 2  # at once per worker process, of short transactions and of long ones: more collide more than they do

_COLLISIONS = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_UNIQUE_VIOLATION = "23505"
_NO_ROOM = frozenset({"53100"})  # disk_full
_NO_TEXT = "22021"  # character_not_in_repertoire: a NUL
_MIGRATION_LOCK = 0x6D6F6F72  # "moor"; the key of an advisory lock
_WRITING_LOCK = 0x6D6F6F73  # shared by transactions that write beside others, exclusive for one that is let alone
_BESIDE = f"pg_advisory_xact_lock_shared({_WRITING_LOCK})"
_ALONE = text(f"SELECT pg_advisory_xact_lock({_WRITING_LOCK})")
_ASYNCHRONOUS = "set_config('synchronous_commit', 'off', true)"


class PostgresDatabase:
    """A `Database` on a PostgreSQL server. The schema must be there already (`migrated` sees to that)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = engine.execution_options(isolation_level="SERIALIZABLE")
        self._by_row = engine.execution_options(isolation_level="READ COMMITTED")
        self._writers = asyncio.Semaphore(WRITERS)
        self._long_writers = asyncio.Semaphore(WRITERS)

    @classmethod
    def open(cls, url: str) -> "PostgresDatabase":
        """The database at `url` (`postgresql://…`, with libpq's parameters such as sslmode)."""

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(url)

        return cls(
            create_async_engine(
                "postgresql+asyncpg://",
                async_creator=connect,
                pool_size=CONNECTIONS,
                max_overflow=0,
                pool_timeout=30,
                hide_parameters=True,  # errors come into logs
            )
        )

    @classmethod
    async def migrated(cls, url: str, history: History) -> "PostgresDatabase":
        """The database at `url`, its schema brought up to date by whichever worker comes first."""
        database = cls.open(url)
        try:
            async with database._engine.connect() as conn:
                current = await conn.run_sync(is_current, history)
            if not current:
                await asyncio.to_thread(lambda: asyncio.run(_migrate(url, history)))
        except BaseException:
            await database.close()
            raise
        return database

    async def read(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(2):
            try:
                async with self._reading.connect() as conn:
                    return await conn.run_sync(work)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == _NO_TEXT:
                    raise UnstorableText from error
                # A restarted server kills the pooled connections; the pool is fresh after the first such error.
                if attempt or not error.connection_invalidated:
                    raise
        raise AssertionError("unreachable")

    async def transaction(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        long: bool = False,
        by_row: bool = False,
        grows: bool = False,  # noqa: ARG002 - of the contract
        frees: bool = False,  # noqa: ARG002 - of the contract
    ) -> T:
        async with self._long_writers if long else self._writers:
            return await self._transaction(work, durable, long, self._by_row if by_row else self._writing)

    async def _transaction(self, work: Callable[[Connection], T], durable: bool, long: bool, writing: AsyncEngine) -> T:
        beside = [] if long else [_BESIDE]  # whoever is let alone does not wait for long ones
        asynchronous = [] if durable else [_ASYNCHRONOUS]
        attempt = 0
        while True:
            attempt += 1
            try:
                if attempt <= BESIDE_OTHERS:
                    return await self._run(writing, work, beside + asynchronous)
                # The lock is held by a transaction beside it: one that waits for a lock within itself goes on from what
                # it saw before it waited.
                async with self._engine.begin() as conn:
                    await conn.execute(_ALONE)
                    return await self._run(writing, work, asynchronous)
            except DBAPIError as error:
                code = getattr(error.orig, "sqlstate", None)
                if code in _NO_ROOM:
                    raise InsufficientStorage from error
                if code == _NO_TEXT:
                    raise UnstorableText from error
                if not _worth_another(code, attempt):
                    raise
            await asyncio.sleep(random.uniform(0, min(0.5, 0.002 * 2**attempt)))  # noqa: S311 - only spreads retries

    async def _run(self, writing: AsyncEngine, work: Callable[[Connection], T], first: Sequence[str]) -> T:
        """One attempt; `first`: expressions to evaluate at its beginning."""
        async with writing.begin() as conn:
            if first:
                await conn.execute(text(f"SELECT {', '.join(first)}"))
            return await conn.run_sync(work)

    def changed(self) -> int | None:
        return None

    async def close(self) -> None:
        await self._engine.dispose()


async def _migrate(url: str, history: History) -> None:
    database = PostgresDatabase.open(url)
    try:
        # The lock is of the transaction, so it goes with it whatever happens; the check runs on a later snapshot.
        async with database._engine.begin() as conn:
            await conn.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            async with database._engine.connect() as other:
                current = await other.run_sync(is_current, history)
            if not current:
                await conn.run_sync(upgrade, history)
    finally:
        await database.close()


def _worth_another(code: str | None, attempt: int) -> bool:
    """Whether to run a failed transaction again.

    A row that another transaction inserted in between shows as a unique violation before it shows as a serialization
    failure; the next run sees that row, and so says what it has to say about it.
    """
    return (code in _COLLISIONS and attempt < ATTEMPTS) or (code == _UNIQUE_VIOLATION and attempt < UNIQUE_ATTEMPTS)
