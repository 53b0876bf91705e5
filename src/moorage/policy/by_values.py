"""A memory of answers by what they hang on: the values of some condition keys."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from moorage.policy.variables import Context

T = TypeVar("T")

MOST: Final = 64
"""Answers that are kept; past them the memory starts anew."""
LONGEST: Final = 256
"""Characters of a value that an answer is kept under."""


class ByValues(Generic[T]):
    """What some statements answer together, found out once for each combination of the values that they read."""

    __slots__ = ("_find", "_kept", "_reads", "_reads_resource")

    def __init__(self, find: Callable[[str, str, Context], T], reads: tuple[str, ...], *, reads_resource: bool) -> None:
        """`find(resource, account, context)` hangs on the values of the keys `reads`, and the resource, if so."""
        self._find: Final = find
        self._reads: Final = reads
        self._reads_resource: Final = reads_resource
        self._kept: Final[dict[tuple[object, ...], T]] = {}

    def ask(self, resource: str, account: str, context: Context) -> T:
        """The answer, kept or found. Raises what `find` raises."""
        values = (account, resource if self._reads_resource else None, *map(context.get, self._reads))
        try:
            known = self._kept.get(values)
        except TypeError:  # a value that can be no key, and so is no text
            return self._find(resource, account, context)
        if known is None:
            known = self._find(resource, account, context)
            for value in values:
                if value is not None and (type(value) is not str or len(value) > LONGEST):
                    return known
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[values] = known
        return known
