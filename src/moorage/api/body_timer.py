"""Limits how slowly a request's body may arrive. One timer watches all bodies, because a timer each costs too much.

A body has a budget: the seconds that the server may spend waiting for it. The budget starts at `pause` seconds, and
every byte that arrives adds to it, at `rate` bytes a second, up to `pause` again. So no pause is longer than `pause`, a
body of N bytes takes at most `pause` + N / `rate` seconds, and a stream that is fast enough may take any time. Time
that the server itself spends between two parts of the body does not count.
"""

import asyncio
from typing import Final

from moorage.api.asgi import Message, Receive
from moorage.errors import RequestTimeout

_LOOKS: Final = 20
"""How often the timer looks within a pause."""


class BodyTimer:
    """Ends the wait for bodies that are too slow. `pause` in seconds, `rate` in bytes a second."""

    def __init__(self, pause: float, rate: float) -> None:
        self.pause = pause
        self._rate = rate
        self._until: dict[asyncio.Task[object], float] = {}
        """The time by which each waiting task must have received something."""
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self, receive: Receive, budget: float) -> tuple[Message, float]:
        """Return the next message of a body with a `budget` in seconds, and the budget that is left.

        Raises RequestTimeout if the message does not arrive in time, or about a twentieth of `pause` later.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be ended")
        loop = task.get_loop()
        now = loop.time()
        self._until[task] = until = now + budget
        if self._timer is None:
            self._timer = loop.call_later(self.pause / _LOOKS, self._look)
        try:
            message = await receive()
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            del (
                receive
            )  # the error keeps this frame, and the server keeps the connection while anything may read from it
            raise RequestTimeout from None
        finally:
            del self._until[task]
            self._late.discard(task)
        left = until - loop.time() + len(message.get("body", b"")) / self._rate
        return message, min(self.pause, max(0.0, left))

    def _look(self) -> None:
        """End the waits that are too long. Look again while there are any."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, until in self._until.items():
            if until <= now and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(self.pause / _LOOKS, self._look) if self._until else None
