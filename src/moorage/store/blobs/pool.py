"""The threads in which blob stores wait for the disk."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 16
"""Most of them wait for the disk. Many at once let the file system share a flush among them."""
FLUSHES: Final = 4
"""Flushes at once. They have threads of their own, because those that write wait for them."""


class Pool:
    """Runs blocking work off the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._flushing = ThreadPoolExecutor(FLUSHES, thread_name_prefix="flush")

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        future: Future[T] = self._threads.submit(work, *args, **kwargs)
        return asyncio.wrap_future(future)

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.start(work, *args, **kwargs)

    async def do_whole(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `do`, but a canceled caller continues only when the work has ended."""
        return await uninterrupted(self.start(work, *args, **kwargs))

    def flush(self, file: FileIO) -> Future[None]:
        """Begin to write the file's bytes to the disk. `file` may be closed meanwhile."""
        return self._flushing.submit(_flush_and_close, os.dup(file.fileno()))

    async def close(self) -> None:
        """Wait for the work that has begun, and end the threads."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._flushing.shutdown)


async def uninterrupted(future: asyncio.Future[T]) -> T:
    """Return the result of `future`. A canceled caller waits for its end too, and is then told that it is canceled."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        raise


def _flush_and_close(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
