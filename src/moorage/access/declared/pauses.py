"""Pauses in long work on the event loop, so that other requests are served meanwhile."""

import asyncio
import time
from typing import Final

_MOST_SECONDS: Final = 0.004


class Pauses:
    """Called between the parts of long work; lets others run once 4 ms of work are done."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def __call__(self) -> None:
        if time.perf_counter() - self._since > _MOST_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
