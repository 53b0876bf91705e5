"""A wait for a condition, which ends as soon as the condition holds."""

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
