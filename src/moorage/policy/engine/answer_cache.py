"""Caches results, keyed by the values of the condition keys that they depend on."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from moorage.policy.matching.variables import Context

T = TypeVar("T")

LONGEST: Final = 256
"""Characters of a value that a result may be cached under."""
_numbers: Final = count()


class AnswerCache(Protocol):
    """Where results are cached. The caller provides it and bounds it. It serves many plans: the keys of each have a
    number of their own."""

    def get(self, key: tuple[object, ...], /) -> Any:
        """Return the result cached under the key, or None."""

    def keep(self, key: tuple[object, ...], value: Any, /) -> None:
        """Cache the result for as long as there is room."""


class NoCache:
    """Caches nothing."""

    def get(self, _key: tuple[object, ...], /) -> None:
        return None

    def keep(self, _key: tuple[object, ...], _value: Any, /) -> None:
        return None


class CachedByValues(Generic[T]):
    """The joint result of some statements, computed once for each combination of the values that they read."""

    __slots__ = ("_answers", "_find", "_number", "_reads", "_reads_resource")

    def __init__(
        self,
        find: Callable[[str, str, Context], T],
        reads: tuple[str, ...],
        answers: AnswerCache,
        *,
        reads_resource: bool,
    ) -> None:
        """`find(resource, account, context)` depends on the values of the keys `reads`, and on the resource if
        `reads_resource`.

        `find` must not refer to the object that holds this one: reference cycles wait for the garbage collector.
        """
        self._find: Final = find
        self._reads: Final = reads
        self._answers: Final = answers
        self._reads_resource: Final = reads_resource
        self._number: Final = number()

    def ask(self, resource: str, account: str, context: Context) -> T:
        """Return the result, cached or computed. Raise what `find` raises."""
        key = (self._number, account, resource if self._reads_resource else None, *map(context.get, self._reads))
        try:
            known: T | None = self._answers.get(key)
        except TypeError:  # a value that is not hashable, and so not text
            return self._find(resource, account, context)
        if known is None:
            known = self._find(resource, account, context)
            for value in key[1:]:
                if value is not None and (type(value) is not str or len(value) > LONGEST):
                    return known
            self._answers.keep(key, known)
        return known


def number() -> int:
    """Return a number for keys of `Answers` that nothing else has."""
    return next(_numbers)
