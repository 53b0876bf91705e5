"""Flushing the write-ahead log of a SQLite file for transactions that must be durable.

A thread waits for the disk and does nothing else. It uses a plain queue, because the future, task and callbacks of an
executor cost the event loop more than a commit does.
"""

import asyncio
import errno
import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from moorage.errors import InsufficientStorage

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_log = structlog.get_logger(__name__)


class Flusher:
    """Flushes the log. Every method is called on the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log: int | None = None
        self._waiting: list[tuple[asyncio.Future[Any], Any]] = []
        self._batch: list[tuple[asyncio.Future[Any], Any]] = []
        """The futures that wait for the flush that is running."""
        self._failed: Exception | None = None
        self._idle: asyncio.Future[None] | None = None
        """Awaited by `close`."""
        self._requests: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"flush of {path.name}", daemon=True)
        self._thread.start()

    def flush_for(self, future: asyncio.Future[Any], result: Any) -> None:
        """Set the result of the future once everything that is committed by now is on disk."""
        self._waiting.append((future, result))
        if not self._batch:
            self._request()

    def _request(self) -> None:
        self._batch, self._waiting = self._waiting, []
        self._requests.put(asyncio.get_running_loop())

    def _run(self) -> None:
        while (loop := self._requests.get()) is not None:
            error = None
            try:
                if self._failed is None:
                    self._flush()
            except OSError as failed:
                error = failed
            loop.call_soon_threadsafe(self._flushed, error)

    def _flush(self) -> None:
        if self._log is None:  # the file stays the same while a connection is open
            self._log = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        os.fdatasync(self._log)

    def _flushed(self, error: OSError | None) -> None:
        if error is not None:
            # The kernel discards what it could not write, so a later flush that succeeds would prove nothing.
            _log.critical("the log of the database cannot be flushed; repair the disk and restart", exc_info=error)
            self._failed = InsufficientStorage() if error.errno in _NO_ROOM else error
        batch, self._batch = self._batch, []
        if self._waiting:
            self._request()
        elif self._idle is not None:
            self._idle.set_result(None)
        for future, result in batch:
            if future.done():  # its caller was canceled
                continue
            if self._failed is None:
                future.set_result(result)
            else:
                future.set_exception(self._failed)

    async def close(self) -> None:
        """Flush and stop, after the last commit."""
        if self._batch:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        self._requests.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._log is not None:
            os.close(self._log)
            self._log = None
