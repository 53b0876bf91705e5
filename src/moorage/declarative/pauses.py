"""Pauses in long work on the event loop, so that other requests are served meanwhile."""

import asyncio
import time
from typing import Final

_WORK: Final = 0.002
_PAUSE: Final = 0.0005
"""Seconds. Longer than one turn of the event loop: a request takes several."""


class Pauses:
    """Called between the parts of long work; lets others run once 2 ms of work are done."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def __call__(self) -> None:
        if time.perf_counter() - self._since > _WORK:
            await asyncio.sleep(_PAUSE)
            self._since = time.perf_counter()
