"""Bounds how many bytes a response may have, whatever a client asks for: a worker builds several at once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

PAGE_BYTES: Final = 4 << 20
"""Bytes of one page of a list. A single item that is longer is a page of its own."""


class Room:
    """What fits in one page: at most `items` items and `PAGE_BYTES` bytes, but always at least one item.

    `lists`: the number of lists in the response; each has an equal share of the bytes.
    """

    __slots__ = ("_bytes", "_items", "_taken")

    def __init__(self, items: int, *, lists: int = 1) -> None:
        self._items = items
        self._bytes = PAGE_BYTES // lists
        self._taken = 0

    def takes(self, size: int) -> bool:
        """Add an item of `size` bytes. Return False if there is no room for it; the page ends before it."""
        self._bytes -= size
        if self._taken and (self._bytes < 0 or self._taken >= self._items):
            return False
        self._taken += 1
        return True


async def each(
    read: Callable[[str, int], Awaitable[Sequence[T]]], position: Callable[[T], str], after: str, *, at_a_time: int
) -> AsyncIterator[T]:
    """Yield the items after the position `after`. They are read as they are needed, `at_a_time` at once.

    `read(after, limit)`: returns the next items. `position`: returns where the items after one begin.
    """
    while found := await read(after, at_a_time):
        for one in found:
            yield one
        if len(found) < at_a_time:
            return
        after = position(found[-1])
