"""The write-ahead log of a SQLite file: flushes (`sqlite_flusher.py`) and checkpoints.

A checkpoint copies the log into the database, in a thread that waits for the disk and does nothing else.
"""

import asyncio
import fcntl
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from moorage.store.metadata.database.sqlite_connection import connect, open_write_lock
from moorage.store.metadata.database.sqlite_flusher import Flusher

CHECKPOINT_SECONDS = 1.0  # after a commit
CHECKPOINT_COMMITS = 500  # or after this many commits
LONGEST = 16_384  # frames (pages of 4 KiB): a longer log is restarted, for which writers wait a moment
READERS_MILLISECONDS = 100  # how long a restart waits for readers of the log, while nobody can write

_log = structlog.get_logger(__name__)


class Log:
    """Flushes and checkpoints the log. Every method is called on the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.flusher = Flusher(path)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"checkpoint of {path.name}")
        self._commits = 0
        self._truncates = False
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None

    def committed(self) -> None:
        """Schedule a checkpoint, after a commit."""
        self._commits += 1
        if self._running is not None:
            return
        if self._commits >= CHECKPOINT_COMMITS:
            self._start_checkpoint()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._start_checkpoint)

    def truncate(self) -> None:
        """Truncate the file soon. Without this it keeps its space for later commits."""
        self._truncates = True
        self._start_checkpoint()

    def _start_checkpoint(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is None:
            self._commits = 0
            self._running = asyncio.get_running_loop().create_task(self._checkpoint())

    async def _checkpoint(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._checkpoint_now)
        except sqlite3.Error as error:  # nothing is lost: the next checkpoint tries again
            _log.warning("the checkpoint of the database failed and will be repeated", exc_info=error)
        self._running = None
        if self._commits:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._start_checkpoint)

    def _checkpoint_now(self) -> None:
        """Run beside the writers. They wait only if they write so much that the log would grow without bound."""
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute(f"PRAGMA busy_timeout = {READERS_MILLISECONDS}")
        _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > LONGEST or self._truncates:
            mode = "TRUNCATE" if self._truncates else "RESTART"
            self._truncates = False
            with open_write_lock(self._path) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._connection.execute(f"PRAGMA wal_checkpoint({mode})")

    async def close(self) -> None:
        """Flush and stop, after the last commit."""
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            await asyncio.wait({self._running})
        if self._timer is not None:
            self._timer.cancel()
        await self.flusher.close()
        await asyncio.to_thread(self._executor.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
