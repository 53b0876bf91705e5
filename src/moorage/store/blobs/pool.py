"""The threads of the blob store."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 16  # most of them wait for the disk; many at once let the file system share a flush among them
FLUSHES = 4  # at once


class Beside:
    """The threads that work beside the one that writes: it waits for them, so they must not queue behind its kind."""

    def __init__(self) -> None:
        self._hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash")
        self._flushing = ThreadPoolExecutor(FLUSHES, thread_name_prefix="flush")

    def hash(self, hasher: Any, batch: bytes) -> Future[None]:
        return self._hashing.submit(hasher.update, batch)

    def flush(self, file: FileIO) -> Future[None]:
        return self._flushing.submit(_flush_and_close, os.dup(file.fileno()))

    def shutdown(self) -> None:
        self._hashing.shutdown()
        self._flushing.shutdown()


class Pool:
    """Runs what may wait for the disk, off the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self.beside = Beside()

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        future: Future[T] = self._threads.submit(work, *args, **kwargs)
        return asyncio.wrap_future(future)

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.start(work, *args, **kwargs)

    async def do_whole(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `do`, but a caller that is canceled goes on only when the work has ended."""
        future = self.start(work, *args, **kwargs)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    async def close(self) -> None:
        """Wait for what the threads still do, and end them."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self.beside.shutdown)


def _flush_and_close(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
