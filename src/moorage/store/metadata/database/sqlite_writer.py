"""Writing to a SQLite file: transactions that arrive together share a COMMIT, and commits that wait share a flush.

A COMMIT (synchronous=NORMAL) only appends to the write-ahead log. It takes tens of microseconds on the event loop;
handing it to a thread and back would take longer. A durable transaction returns after an fdatasync of the log that
began after its COMMIT (`sqlite_flusher.py`); others do not wait for the disk. The log is read from its beginning up to
the first broken frame, so a flush makes everything durable that any process has committed before it. Others may see a
transaction one flush before it is durable; whatever they write because of it comes later in the log.

Long work, and work that finds the lock held by another process, runs in a thread.
"""

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from moorage.errors import InsufficientStorage
from moorage.store.metadata.database.sqlite_connection import connect, core_connection, open_write_lock, try_write_lock
from moorage.store.metadata.database.sqlite_log import Log

GROUP = 64  # the most transactions that share one COMMIT
CAREFUL = 64  # groups with savepoints after a failed job: they cost less than running whole groups twice
INLINE_GROUP = 16  # the most transactions of a group on the event loop, which take a few milliseconds
INLINE_BUSY_MILLISECONDS = 5  # how long the event loop waits for another program's transaction before a thread does

# The errors of SQLite when the file system is full: writing a page, and growing the shared memory of the log.
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


class Job(NamedTuple):
    """A transaction to run. `long`: it would block the event loop for too long."""

    work: Callable[[Connection], Any]
    durable: bool
    long: bool
    future: asyncio.Future[Any]


class Outcome(NamedTuple):
    """The result of a job."""

    future: asyncio.Future[Any]
    durable: bool
    result: Any
    error: Exception | None


class _GroupLostError(Exception):
    """SQLite has rolled back the whole transaction (disk full, out of memory); the cause says why."""


class _BusyError(Exception):
    """Another program is writing; nothing was done."""

    def __init__(self, error: sqlite3.OperationalError) -> None:
        super().__init__(str(error))
        self.error = error


class _Committer:
    """A connection that runs groups of jobs, each group in one transaction."""

    def __init__(self, path: Path) -> None:
        self._raw = connect(path)
        self._raw.execute("PRAGMA synchronous = NORMAL")
        self._connection = core_connection(self._raw)
        self.write_lock = open_write_lock(path)
        self._careful = 0
        """How many more groups run each job behind a savepoint."""

    def wait_at_most(self, milliseconds: int) -> None:
        """Set how long to wait for the transaction of another program."""
        self._raw.execute(f"PRAGMA busy_timeout = {milliseconds}")

    def leave_checkpoints_to_others(self) -> None:
        self._raw.execute("PRAGMA wal_autocheckpoint = 0")

    def commit(self, group: Sequence[Job]) -> list[Outcome]:
        """Run the group. A job that raises loses its changes; if COMMIT fails, all do. The caller holds the lock."""
        try:
            self._begin()
            outcomes = self._run(group)
            self._raw.execute("COMMIT")
        except (sqlite3.Error, _GroupLostError) as error:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            return [Outcome(job.future, False, None, _error_for_caller(error)) for job in group]
        return outcomes

    def _begin(self) -> None:
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise _BusyError(error) from error
            raise

    def _run(self, group: Sequence[Job]) -> list[Outcome]:
        if not self._careful:
            try:
                return [Outcome(job.future, job.durable, job.work(self._connection), None) for job in group]
            except Exception:  # noqa: BLE001 - running them again shows which job failed
                self._careful = CAREFUL
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            self._begin()
        self._careful -= 1
        return [self._run_one(job) for job in group]

    def _run_one(self, job: Job) -> Outcome:
        self._raw.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:  # any error is passed to the caller
            if not self._raw.in_transaction:
                raise _GroupLostError from error
            self._raw.execute("ROLLBACK TO job")
            self._raw.execute("RELEASE job")
            return Outcome(job.future, False, None, _error_for_caller(error))
        self._raw.execute("RELEASE job")
        return Outcome(job.future, job.durable, result, None)

    def close(self) -> None:
        self._connection.close()
        self._raw.close()
        self.write_lock.close()


class ThreadWriter:
    """One thread that writes. The jobs that wait when it is ready share one COMMIT."""

    def __init__(self, path: Path, *, log: Log | None = None) -> None:
        self._log = log or Log(path)
        self._owns_log = log is None
        self._committer = _Committer(path)
        if log is not None:
            self._committer.leave_checkpoints_to_others()
        self._closed = False
        self.waiting = 0
        """How many jobs are not done. Used on the event loop only."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        if self._closed:
            raise RuntimeError("the database is closed")
        self.waiting += 1
        self._jobs.put(job)

    def truncate_log(self) -> None:
        """Truncate the log soon."""
        self._log.truncate()

    async def close(self) -> None:
        """Finish the jobs that wait."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._owns_log:
            await self._log.close()

    def _run(self) -> None:
        while group := self._next_group():
            outcomes = self._commit(group)
            group[0].future.get_loop().call_soon_threadsafe(self._done, outcomes)
        self._committer.close()

    def _done(self, outcomes: list[Outcome]) -> None:
        self.waiting -= len(outcomes)
        conclude(outcomes, self._log)

    def _next_group(self) -> list[Job]:
        """Return the jobs that wait, at least one; none to end the thread."""
        job = self._jobs.get()
        group: list[Job] = []
        while job is not None:
            group.append(job)
            if len(group) == GROUP:
                break
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
        else:
            if group:  # the end was queued behind this group: run the group first
                self._jobs.put(None)
        return group

    def _commit(self, group: list[Job]) -> list[Outcome]:
        fcntl.flock(self._committer.write_lock, fcntl.LOCK_EX)
        try:
            return self._committer.commit(group)
        except _BusyError as error:
            return [Outcome(job.future, False, None, error.error) for job in group]
        finally:
            fcntl.flock(self._committer.write_lock, fcntl.LOCK_UN)


class Writer:
    """Writes on the event loop what was submitted since its last iteration. Long work goes to a thread."""

    def __init__(self, path: Path) -> None:
        self._log = Log(path)
        self._thread = ThreadWriter(path, log=self._log)
        self._committer = _Committer(path)
        self._committer.wait_at_most(INLINE_BUSY_MILLISECONDS)
        self._committer.leave_checkpoints_to_others()
        self._waiting: list[Job] = []
        self._closed = False

    def submit(self, job: Job) -> None:
        if self._closed:
            raise RuntimeError("the database is closed")
        if job.long:
            self._thread.submit(job)
            return
        self._waiting.append(job)
        if len(self._waiting) == 1:
            job.future.get_loop().call_soon(self._turn)

    def _turn(self) -> None:
        group, self._waiting = self._waiting[:INLINE_GROUP], self._waiting[INLINE_GROUP:]
        if not group:
            return
        # If jobs wait for the thread, queue behind them, so that the thread gets the lock.
        if self._thread.waiting or not self._commit(group):
            for job in group:
                self._thread.submit(job)
        if self._waiting:
            self._waiting[0].future.get_loop().call_soon(self._turn)

    def _commit(self, group: list[Job]) -> bool:
        """Run the group. Return False if another process is writing; then nothing was done."""
        if not try_write_lock(self._committer.write_lock):
            return False
        try:
            outcomes = self._committer.commit(group)
        except _BusyError:
            return False
        finally:
            fcntl.flock(self._committer.write_lock, fcntl.LOCK_UN)
        conclude(outcomes, self._log)
        return True

    def truncate_log(self) -> None:
        """Truncate the log soon."""
        self._log.truncate()

    async def close(self) -> None:
        """Finish the jobs that wait."""
        while self._waiting:
            self._turn()
        self._closed = True
        await self._thread.close()
        await self._log.close()
        self._committer.close()


def conclude(outcomes: list[Outcome], log: Log) -> None:
    """Pass the outcomes to the callers; durable ones after the log is flushed."""
    for outcome in outcomes:
        if outcome.durable:
            log.flusher.flush_for(outcome.future, outcome.result)
        elif outcome.future.done():  # its caller was canceled
            continue
        elif outcome.error is None:
            outcome.future.set_result(outcome.result)
        else:
            outcome.future.set_exception(outcome.error)
    log.committed()


def _error_for_caller(error: Exception) -> Exception:
    """Return the error for the caller: a full disk as InsufficientStorage."""
    cause = error.__cause__ if isinstance(error, _GroupLostError) and isinstance(error.__cause__, Exception) else error
    raw = cause.orig if isinstance(cause, DBAPIError) else cause
    if isinstance(raw, sqlite3.Error) and getattr(raw, "sqlite_errorcode", None) in _NO_ROOM:
        full = InsufficientStorage()
        full.__cause__ = cause
        return full
    return cause
