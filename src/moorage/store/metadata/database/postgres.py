"""Metadata in PostgreSQL through asyncpg: serializable transactions, which are retried if they fail to serialize.

A transaction that keeps failing to serialize, as a long one does among many short ones, is finally run under an
exclusive lock: it waits for the transactions that are running, and later ones wait for it.
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

ATTEMPTS = 20  # of one transaction that keeps failing to serialize
CONCURRENT_ATTEMPTS = 4  # how many of them run beside other transactions; the rest run under the exclusive lock
UNIQUE_ATTEMPTS = 12  # statements look before they insert, so a unique violation is nearly always a conflict
CONNECTIONS = 10  # per worker process
WRITERS = 2  # at once per worker process, of short and of long transactions each: with more, most of them conflict

_CONFLICTS = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_UNIQUE_VIOLATION = "23505"
_NO_ROOM = frozenset({"53100"})  # disk_full
_UNSTORABLE = "22021"  # character_not_in_repertoire: a NUL
_MIGRATION_LOCK = 0x6D6F6F72  # "moor"; the key of an advisory lock
_WRITING_LOCK = 0x6D6F6F73  # shared by transactions that write, exclusive for one that keeps failing to serialize
_SHARED = f"pg_advisory_xact_lock_shared({_WRITING_LOCK})"
_EXCLUSIVE = text(f"SELECT pg_advisory_xact_lock({_WRITING_LOCK})")
_ASYNCHRONOUS = "set_config('synchronous_commit', 'off', true)"


class PostgresDatabase:
    """A `Database` on a PostgreSQL server. The schema must exist already (`migrated` creates it)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = engine.execution_options(isolation_level="SERIALIZABLE")
        self._by_row = engine.execution_options(isolation_level="READ COMMITTED")
        self._writers = asyncio.Semaphore(WRITERS)
        self._long_writers = asyncio.Semaphore(WRITERS)

    @classmethod
    def open(cls, url: str) -> "PostgresDatabase":
        """Open the database at `url` (`postgresql://…`, with libpq's parameters such as sslmode)."""

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
        """Open the database at `url`, after the first worker to arrive has migrated its schema."""
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
                if getattr(error.orig, "sqlstate", None) == _UNSTORABLE:
                    raise UnstorableText from error
                # A restarted server closes the pooled connections; the pool is renewed after the first such error.
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
        shared = [] if long else [_SHARED]  # a transaction under the exclusive lock does not wait for long ones
        asynchronous = [] if durable else [_ASYNCHRONOUS]
        attempt = 0
        while True:
            attempt += 1
            try:
                if attempt <= CONCURRENT_ATTEMPTS:
                    return await self._run(writing, work, shared + asynchronous)
                # A second transaction holds the lock, because the first would continue with the snapshot that it took
                # before it waited.
                async with self._engine.begin() as conn:
                    await conn.execute(_EXCLUSIVE)
                    return await self._run(writing, work, asynchronous)
            except DBAPIError as error:
                code = getattr(error.orig, "sqlstate", None)
                if code in _NO_ROOM:
                    raise InsufficientStorage from error
                if code == _UNSTORABLE:
                    raise UnstorableText from error
                if not _worth_another(code, attempt):
                    raise
            await asyncio.sleep(random.uniform(0, min(0.5, 0.002 * 2**attempt)))  # noqa: S311 - only spreads retries

    async def _run(self, writing: AsyncEngine, work: Callable[[Connection], T], first: Sequence[str]) -> T:
        """Run one attempt. `first`: expressions to evaluate at its beginning."""
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
        # The lock ends with its transaction in any case; the check runs on a later snapshot.
        async with database._engine.begin() as conn:
            await conn.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            async with database._engine.connect() as other:
                current = await other.run_sync(is_current, history)
            if not current:
                await conn.run_sync(upgrade, history)
    finally:
        await database.close()


def _worth_another(code: str | None, attempt: int) -> bool:
    """Return whether to run a failed transaction again.

    A row that another transaction has inserted meanwhile causes a unique violation rather than a serialization failure.
    The next attempt sees the row and reports it in its own words.
    """
    return (code in _CONFLICTS and attempt < ATTEMPTS) or (code == _UNIQUE_VIOLATION and attempt < UNIQUE_ATTEMPTS)
