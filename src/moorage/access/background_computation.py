"""Runs computations that would block the event loop for too long, one at a time, in a thread.

Python runs one thread at a time and switches every five milliseconds. One computing thread delays the event loop by
that much, and a second one would double the delay.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MAX_CHARACTERS: Final = 8192
_MAX_COMMAS: Final = 250
"""An ordinary policy of twenty statements has 5,000 characters and 140 commas."""
_THREAD: Final = ThreadPoolExecutor(1, "long-work")


def takes_long(text: str) -> bool:
    """Return whether parsing and linting the text as a policy may take more than a few milliseconds."""
    return len(text) > _MAX_CHARACTERS or text.count(",") > _MAX_COMMAS


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in the thread and return its result. It must not use anything that the event loop changes."""
    return await asyncio.wrap_future(_THREAD.submit(work, *args, **kwargs))
