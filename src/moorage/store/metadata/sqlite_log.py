"""The write-ahead log of a SQLite file: flushed for those who wait for that, and moved into the database in time.

A thread each for flushing and for moving (SQLite's checkpoint), which wait for the disk and nothing else.
"""

import asyncio
import errno
import fcntl
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from moorage.errors import InsufficientStorage
from moorage.store.metadata.sqlite_connection import connect, open_gate

CHECKPOINT_SECONDS = 1.0  # after a commit, the log is moved into the database
CHECKPOINT_COMMITS = 500  # or after so many
LONGEST = 16_384  # frames (pages of 4 KiB): a longer log is begun anew, for which writing waits a moment

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_log = structlog.get_logger(__name__)


class Log:
    """Every method is for the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix=f"flush of {path.name}")
        self._mover = ThreadPoolExecutor(1, thread_name_prefix=f"checkpoint of {path.name}")
        self._wal: int | None = None
        self._waiting: list[tuple[asyncio.Future[Any], Any]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._failed: Exception | None = None
        self._commits = 0
        self._timer: asyncio.TimerHandle | None = None
        self._moving: asyncio.Task[None] | None = None
        self._connection: sqlite3.Connection | None = None

    def flush_for(self, future: asyncio.Future[Any], result: Any) -> None:
        """Set the future's result once everything that is committed by now is on the disk."""
        self._waiting.append((future, result))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                if self._failed is None:
                    await loop.run_in_executor(self._flusher, self._sync)
            except OSError as error:
                # The system forgets what it could not write: a later flush that succeeds would prove nothing.
                _log.critical("the database's log cannot be flushed; restart when the disk is well", exc_info=error)
                self._failed = InsufficientStorage() if error.errno in _NO_ROOM else error
            for future, result in batch:
                if future.done():  # its caller was cancelled
                    continue
                if self._failed is None:
                    future.set_result(result)
                else:
                    future.set_exception(self._failed)
        self._flushing = None

    def _sync(self) -> None:
        if self._wal is None:  # the same file for as long as a connection is open
            self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        os.fdatasync(self._wal)

    def committed(self) -> None:
        """Something was: see to it that the log is moved into the database before it gets long."""
        self._commits += 1
        if self._moving is not None:
            return
        if self._commits >= CHECKPOINT_COMMITS:
            self._move()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._move)

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
        _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames > LONGEST:
            with open_gate(self._path) as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                self._connection.execute("PRAGMA wal_checkpoint(RESTART)")

    async def close(self) -> None:
        """After the last commit: flush and stop."""
        if self._timer is not None:
            self._timer.cancel()
        while self._flushing is not None:
            await asyncio.wait({self._flushing})
        if self._moving is not None:
            await asyncio.wait({self._moving})
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.to_thread(self._flusher.shutdown)
        await asyncio.to_thread(self._mover.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._wal is not None:
            os.close(self._wal)
            self._wal = None
