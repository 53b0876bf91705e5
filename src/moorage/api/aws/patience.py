"""How long a request's body may take. One timer watches all of them: one each costs more than a decision."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Lets work take so many seconds and about a tenth more, then ends it with TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[asyncio.Task[Any], float] = {}
        """By when each task must have done its work, earliest first: all have the same time."""
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def limit(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work`, awaited in this task, returns; TimeoutError when it takes too long."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be ended")
        loop = task.get_loop()
        self._until[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / 10, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._until[task]
            self._overdue.discard(task)

    def _look(self) -> None:
        """End what is overdue; look again while there is something to wait for."""
        loop = asyncio.get_running_loop()
        for task, until in self._until.items():
            if until > loop.time():
                break
            self._overdue.add(task)
            task.cancel()
        self._timer = loop.call_later(self._seconds / 10, self._look) if self._until else None
