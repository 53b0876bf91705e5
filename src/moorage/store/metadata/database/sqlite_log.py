"""The write-ahead log of a SQLite file: flushed (`sqlite_flusher.py`), and moved into the database in time.

Moving is SQLite's checkpoint, in a thread that waits for the disk and nothing else.
"""

import asyncio
import fcntl
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from moorage.store.metadata.database.sqlite_connection import connect, open_gate
from moorage.store.metadata.database.sqlite_flusher import Flusher

CHECKPOINT_SECONDS = 1.0  # after a commit, the log is moved into the database
CHECKPOINT_COMMITS = 500  # or after so many
LONGEST = 16_384  # frames (pages of 4 KiB): a longer log is begun anew, for which writing waits a moment
READERS_MILLISECONDS = 100  # how long that waits for those who still read the log, while nobody can write

_log = structlog.get_logger(__name__)


class Log:
    """Every method is for the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.flusher = Flusher(path)
        self._mover = ThreadPoolExecutor(1, thread_name_prefix=f"checkpoint of {path.name}")
        self._commits = 0
        self._is_to_shorten = False
        self._timer: asyncio.TimerHandle | None = None
        self._moving: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None

    def committed(self) -> None:
        """Something was: see to it that the log is moved into the database before it gets long."""
        self._commits += 1
        if self._moving is not None:
            return
        if self._commits >= CHECKPOINT_COMMITS:
            self._move()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._move)

    def shorten(self) -> None:
        """Give the room that the file takes back to the disk, soon. Otherwise the file keeps it for later commits."""
        self._is_to_shorten = True
        self._move()

    def _move(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._moving is None:
            self._commits = 0
            self._moving = asyncio.get_running_loop().create_task(self._checkpoint())

    async def _checkpoint(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._mover, self._checkpoint_now)
        except sqlite3.Error as error:  # the log holds everything: the next one tries again
            _log.warning("the database's log stays where it is for now", exc_info=error)
        self._moving = None
        if self._commits:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._move)

    def _checkpoint_now(self) -> None:
        """Beside those who write; they wait only where they write so much that the log would grow without end."""
        if self._connection is None:
            self._connection = connect(self._path)
            self._connection.execute(f"PRAGMA busy_timeout = {READERS_MILLISECONDS}")
        _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > LONGEST or self._is_to_shorten:
            anew = "TRUNCATE" if self._is_to_shorten else "RESTART"
            self._is_to_shorten = False
            with open_gate(self._path) as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                self._connection.execute(f"PRAGMA wal_checkpoint({anew})")

    async def close(self) -> None:
        """After the last commit: flush and stop."""
        if self._timer is not None:
            self._timer.cancel()
        if self._moving is not None:
            await asyncio.wait({self._moving})
        if self._timer is not None:
            self._timer.cancel()
        await self.flusher.close()
        await asyncio.to_thread(self._mover.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
