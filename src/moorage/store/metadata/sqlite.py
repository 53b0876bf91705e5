"""Metadata in one SQLite file: reads inline on a held connection, writes through one thread with group commit.

The two connections are apart so that `changed` (PRAGMA data_version: what *other* connections committed) sees this
process's own commits too. Several worker processes may share the file; they take turns to write.
"""

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TextIO, TypeVar

from sqlalchemy import Connection, StaticPool, create_engine
from sqlalchemy.exc import DBAPIError

from moorage.errors import InsufficientStorage

T = TypeVar("T")

GROUP = 64  # transactions that share one COMMIT at most
BUSY_SECONDS = 30.0  # how long to wait for the transaction of another program (sqlite3, a backup)

# What SQLite answers when the file system has no room: writing a page, and growing the WAL's shared memory.
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


def connect(path: Path) -> sqlite3.Connection:
    """A driver connection in WAL mode with foreign keys checked. BEGIN and COMMIT are ours to say."""
    raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute("PRAGMA journal_size_limit = 67108864")
    return raw


def open_gate(path: Path) -> TextIO:
    """The file whose lock (flock) a process holds while it writes.

    SQLite's own lock is polled with growing pauses, so that of several busy workers one waits for seconds; this one
    wakes the next. It goes with its process, however that ends.
    """
    return Path(f"{path}.lock").open("w")


def core_connection(raw: sqlite3.Connection) -> Connection:
    """SQLAlchemy's connection over `raw`. Its own idea of a transaction stays open and sends nothing."""
    return create_engine("sqlite+pysqlite://", creator=lambda: raw, poolclass=StaticPool).connect()


class SqliteDatabase:
    """A `Database` in a file. The schema must be there already (`open_database` sees to that)."""

    def __init__(self, path: Path, *, inline: bool) -> None:
        self.path = path
        self._raw = connect(path)
        self._raw.execute("PRAGMA query_only = ON")
        self._execute = self._raw.execute
        self._connection = core_connection(self._raw)
        self._aside = None if inline else asyncio.Lock()
        self._writer = _Writer(path)

    @classmethod
    def open(cls, path: Path, *, inline: bool = True) -> "SqliteDatabase":
        """The database in the file `path`. Without `inline`, reads run in a thread: for long ones, one at a time."""
        return cls(path, inline=inline)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._aside is None:
            return self._read(work)
        async with self._aside:
            return await asyncio.to_thread(self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._execute("BEGIN")
        try:
            return work(self._connection)
        finally:
            self._execute("ROLLBACK")

    async def transaction(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(_Job(work, durable, future))
        return await future

    def changed(self) -> int | None:
        version: int = self._execute("PRAGMA data_version").fetchone()[0]
        return version

    async def close(self) -> None:
        """Finish the transactions that wait, then let the file go."""
        await asyncio.to_thread(self._writer.close)
        self._connection.close()
        self._raw.close()


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    durable: bool
    future: asyncio.Future[Any]


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: Exception | None


class _GroupLostError(Exception):
    """SQLite rolled the whole transaction back by itself (no room, no memory); the cause says why."""


class _Writer:
    """The one thread of this process that writes. Whatever waits when it comes round shares one COMMIT."""

    def __init__(self, path: Path) -> None:
        self._raw = connect(path)
        self._connection = core_connection(self._raw)
        self._synchronous = ""
        self._gate = open_gate(path)
        self._closed = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def submit(self, job: _Job) -> None:
        if self._closed:
            raise RuntimeError("the database is closed")
        self._jobs.put(job)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            outcomes = self._commit(group)
            group[0].future.get_loop().call_soon_threadsafe(_deliver, outcomes)
        self._connection.close()
        self._raw.close()
        self._gate.close()

    def _next_group(self) -> list[_Job]:
        """The jobs that wait, at least one; none when it is time to end."""
        job = self._jobs.get()
        group: list[_Job] = []
        while job is not None:
            group.append(job)
            if len(group) == GROUP:
                break
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
        else:
            if group:  # the end was queued behind this group: finish it first
                self._jobs.put(None)
        return group

    def _commit(self, group: list[_Job]) -> list[_Outcome]:
        """Run the group in one transaction. A job that raises loses its own changes; a failed COMMIT all of them."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            return self._commit_alone(group)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _commit_alone(self, group: list[_Job]) -> list[_Outcome]:
        try:
            self._begin(durable=any(job.durable for job in group))
            outcomes = [self._run_one(job) for job in group]
            self._raw.execute("COMMIT")
        except (sqlite3.Error, _GroupLostError) as error:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            return [_Outcome(job.future, None, _told(error)) for job in group]
        return outcomes

    def _begin(self, *, durable: bool) -> None:
        synchronous = "FULL" if durable else "NORMAL"
        if synchronous != self._synchronous:
            self._raw.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self._raw.execute("BEGIN IMMEDIATE")

    def _run_one(self, job: _Job) -> _Outcome:
        self._raw.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:  # whatever it is, it is told to the caller
            if not self._raw.in_transaction:
                raise _GroupLostError from error
            self._raw.execute("ROLLBACK TO job")
            self._raw.execute("RELEASE job")
            return _Outcome(job.future, None, _told(error))
        self._raw.execute("RELEASE job")
        return _Outcome(job.future, result, None)


def _deliver(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _told(error: Exception) -> Exception:
    """The error as the caller hears it: a full disk by Moorage's name."""
    cause = error.__cause__ if isinstance(error, _GroupLostError) and isinstance(error.__cause__, Exception) else error
    raw = cause.orig if isinstance(cause, DBAPIError) else cause
    if isinstance(raw, sqlite3.Error) and getattr(raw, "sqlite_errorcode", None) in _NO_ROOM:
        full = InsufficientStorage()
        full.__cause__ = cause
        return full
    return cause
