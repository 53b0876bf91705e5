"""Metadata in one SQLite file: reads inline on a held connection, writes in groups, durable by a flush of the log.

The connections are apart so that `changed` (PRAGMA data_version: what *other* connections committed) sees this
process's own commits too. Several worker processes may share the file; they take turns to write.

Reads share a snapshot for a turn of the event loop, since opening one takes as long as a read. Its end is queued when
it is opened: a request that arrives later, and whoever waits for a commit, come behind that and read a new one. Asked
within a snapshot, `changed` tells of that snapshot, so what is read is never older than it says.
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
    """A `Database` in a file. The schema must be there already (`open_database` sees to that)."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        self.path = path
        self._raw = connect(path)
        self._raw.execute("PRAGMA query_only = ON")
        self._execute = self._raw.execute
        self._connection = core_connection(self._raw)
        self._aside = None if inline else asyncio.Lock()
        self._writer: Writer | ThreadWriter = Writer(path) if inline else ThreadWriter(path)
        self._version: int | None = None
        self._reserve = Reserve(path.parent)
        self._log_path = Path(f"{path}-wal")

    @classmethod
    def open(cls, path: Path, *, inline: bool = True) -> "SqliteDatabase":
        """The database in the file `path`. Without `inline`, everything runs in threads: for long works."""
        return cls(path, inline=inline)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._aside is None:
            if not self._raw.in_transaction:
                self._execute("BEGIN")
                asyncio.get_running_loop().call_soon(self._end_reading)
            return work(self._connection)
        async with self._aside:
            return await asyncio.to_thread(self._read, work)

    def _end_reading(self) -> None:
        if self._raw.in_transaction:  # else SQLite has ended it by itself, as it does when it cannot read
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
        """InsufficientStorage when what is pushed would use the reserved room.

        The pages of the log need room a second time, when they are moved into the database, unless pages in it are
        free. It does not give them back to the disk. The log keeps the length that it once had: whoever is refused
        has it shortened for the next one.
        """
        log = self._log_path.stat().st_size if self._log_path.exists() else 0
        try:
            require_room(self.path.parent, beside=log)
        except InsufficientStorage:
            free = math.prod(self._execute(f"PRAGMA {of}").fetchone()[0] for of in ("freelist_count", "page_size"))
            try:
                require_room(self.path.parent, beside=max(0, log - free))
            except InsufficientStorage:
                self._writer.shorten_log()
                raise

    def changed(self) -> int | None:
        """Asked once in a turn of the event loop: a request whose turn it is has arrived before."""
        version = self._version
        if version is None:
            # First that it is forgotten, then the question: whatever is queued ahead of `_forget` was there before it.
            asyncio.get_running_loop().call_soon(self._forget)
            version = self._version = int(self._execute("PRAGMA data_version").fetchone()[0])
        return version

    def _forget(self) -> None:
        self._version = None

    async def close(self) -> None:
        """Finish the transactions that wait, then let the file go."""
        await self._writer.close()
        self._connection.close()
        self._raw.close()
