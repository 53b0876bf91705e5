"""Limits a worker to one computation of a kind at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from moorage.errors import Throttling

_WAITING: Final = 8
"""Most callers that wait for their turn; each has a body in memory."""
_PATIENCE: Final = 30.0
"""Seconds that they wait."""


class Turns:
    """Admits one caller at a time. A few others wait for a while; the rest get Throttling."""

    def __init__(self, waiting: int = _WAITING, seconds: float = _PATIENCE) -> None:
        self._turn = asyncio.Lock()
        self._most = waiting
        self._seconds = seconds
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        if self._waiting >= self._most:
            raise Throttling
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise Throttling from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
