"""The only source of time, so that dev mode and tests can set it."""

import time


class Clock:
    """Wall-clock time in seconds since the Unix epoch, shifted by an offset that dev mode may set."""

    __slots__ = ("began_at", "began_elapsed", "offset")

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.began_at = time.time() + offset
        """`now` and `elapsed` at the moment when this clock was created."""
        self.began_elapsed = time.monotonic() + offset

    def now(self) -> float:
        """Return the seconds since the Unix epoch, with fraction."""
        return time.time() + self.offset

    def elapsed(self) -> float:
        """Return the seconds since an arbitrary moment. Unlike `now`, it does not jump when the machine's clock is set.

        What dev mode sets counts as time that passes.
        """
        return time.monotonic() + self.offset

    def set(self, now: float) -> None:
        """Make the clock continue from `now` (seconds since the epoch)."""
        self.offset = now - time.time()

    def unset(self) -> None:
        """Return to the machine's time."""
        self.offset = 0.0
