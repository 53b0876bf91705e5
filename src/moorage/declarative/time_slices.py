"""Long work on the event loop in short slices, so that other requests are served in between."""

import asyncio
import time
from typing import Final

_SLICE: Final = 0.002
"""Seconds of work in one slice."""
_PAUSE: Final = 0.0005
"""Seconds. Longer than one iteration of the event loop, because a request takes several."""


class TimeSlices:
    """Counts the time since the last pause."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def pause(self) -> None:
        """Let other tasks run if a slice is used up. Call it between the parts of the work."""
        if time.perf_counter() - self._since > _SLICE:
            await asyncio.sleep(_PAUSE)
            self._since = time.perf_counter()
