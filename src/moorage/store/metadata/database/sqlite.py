"""Metadata in one SQLite file: reads on the event loop, writes in groups, made durable by flushing the log.

Reading and writing have separate connections, so that `changed` (PRAGMA data_version, which counts the commits of
*other* connections) also sees the commits of this process. Several worker processes may share the file; they write one
after the other.

Reads in one iteration of the event loop share a snapshot, because opening one takes as long as a read. The end of the
snapshot is scheduled when it is opened, so later requests, and tasks that wait for a commit, get a new one. During a
snapshot `changed` describes that snapshot, so rows are never older than its number.
"""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from moorage.errors import InsufficientStorage
from moorage.store.metadata.database.sqlite_connection import connect, core_connection
from moorage.store.metadata.database.sqlite_writer import Job, ThreadWriter, Writer
from moorage.store.reserve import Reserve, require_room

T = TypeVar("T")


class SqliteDatabase:
    """A `Database` in a file. The schema must exist already (`open_database` creates it)."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        self.path = path
        self._raw = connect(path)
        self._raw.execute("PRAGMA query_only = ON")
        self._execute = self._raw.execute
        self._connection = core_connection(self._raw)
        self._read_lock = None if inline else asyncio.Lock()
        self._writer: Writer | ThreadWriter = Writer(path) if inline else ThreadWriter(path)
        self._version: int | None = None
        self._reserve = Reserve(path.parent)
        self._log_path = Path(f"{path}-wal")

    @classmethod
    def open(cls, path: Path, *, inline: bool = True) -> "SqliteDatabase":
        """Open the file `path`. Without `inline`, everything runs in threads, for work that takes long."""
        return cls(path, inline=inline)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._read_lock is None:
            if not self._raw.in_transaction:
                self._execute("BEGIN")
                asyncio.get_running_loop().call_soon(self._end_reading)
            return work(self._connection)
        async with self._read_lock:
            return await asyncio.to_thread(self._read, work)

    def _end_reading(self) -> None:
        if self._raw.in_transaction:  # else SQLite has ended it, as it does after a read error
            self._execute("ROLLBACK")

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._execute("BEGIN")
        try:
            return work(self._connection)
        finally:
            self._execute("ROLLBACK")

    async def transaction(
        self,
        work: Callable[[Connection], T],
        *,
        durable: bool = True,
        long: bool = False,
        by_row: bool = False,  # noqa: ARG002 - of the contract
        grows: bool = False,
        frees: bool = False,
    ) -> T:
        if grows:
            self._require_room()
        try:
            return await self._submit(work, durable, long)
        except InsufficientStorage:
            if not frees:
                raise
        self._reserve.give_up()
        return await self._submit(work, durable, long)

    def _submit(self, work: Callable[[Connection], T], durable: bool, long: bool) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(work, durable, long, future))
        return future

    def _require_room(self) -> None:
        """Raise InsufficientStorage if a push would use the reserved space.

        The pages of the log need space again when a checkpoint copies them into the database, unless the database has
        free pages. The log never shrinks by itself, so a refusal also truncates it, for the next push.
        """
        log = self._log_path.stat().st_size if self._log_path.exists() else 0
        try:
            require_room(self.path.parent, beside=log)
        except InsufficientStorage:
            free = math.prod(self._execute(f"PRAGMA {of}").fetchone()[0] for of in ("freelist_count", "page_size"))
            try:
                require_room(self.path.parent, beside=max(0, log - free))
            except InsufficientStorage:
                self._writer.truncate_log()
                raise

    def changed(self) -> int | None:
        """Return the number, which is read once in an iteration of the event loop."""
        version = self._version
        if version is None:
            # Schedule `_forget` before reading: what is queued ahead of it arrived before the number was read.
            asyncio.get_running_loop().call_soon(self._forget)
            version = self._version = int(self._execute("PRAGMA data_version").fetchone()[0])
        return version

    def _forget(self) -> None:
        self._version = None

    async def close(self) -> None:
        """Finish the transactions that wait, then close the file."""
        await self._writer.close()
        self._connection.close()
        self._raw.close()
