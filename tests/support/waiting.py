"""Waits for a condition, which end as soon as it holds."""

import asyncio
import time
from collections.abc import Callable

_INTERVAL = 0.01
"""Seconds between two looks."""


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Return once `condition` holds. Raise AssertionError if it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(_INTERVAL)


async def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Do the same without holding the event loop."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        await asyncio.sleep(_INTERVAL)
