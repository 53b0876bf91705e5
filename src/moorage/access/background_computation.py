"""Computations that take longer than the event loop may be held, one at a time in a thread of their own.

Python runs one thread at a time and changes over every five milliseconds, so that one such thread delays the event loop
by that much, and a second one would double it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LONG: Final = 8192
_MANY: Final = 250
"""Characters and commas of a policy. An ordinary one of twenty statements has 5,000 and 140."""
_THREAD: Final = ThreadPoolExecutor(1, "long-work")


def takes_long(text: str) -> bool:
    """Whether reading the text as a policy, with lint, may hold the event loop for more than a few milliseconds."""
    return len(text) > _LONG or text.count(",") > _MANY


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises. It may touch nothing that the event loop changes."""
    return await asyncio.wrap_future(_THREAD.submit(work, *args, **kwargs))
