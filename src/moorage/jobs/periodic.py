"""Tasks that every process repeats for itself, because they concern its memory or its disk. They are not jobs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class PeriodicTasks:
    """Functions that are called one after the other, again and again."""

    def __init__(self, interval: float, functions: Mapping[str, Callable[[], Awaitable[Any]]]) -> None:
        """`interval`: seconds between two rounds; the names of the functions are for the log."""
        self._interval = interval
        self._functions = functions

    async def run_forever(self) -> None:
        """Call the functions at intervals until canceled, the first time after one. A function that fails is logged."""
        while True:
            await asyncio.sleep(self._interval)
            await self.run_once()

    async def run_once(self) -> None:
        """Call each function once."""
        for name, function in self._functions.items():
            try:
                await function()
            except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from running
                _log.error("a periodic task failed", task=name, exc_info=error)
