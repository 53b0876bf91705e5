"""Answers by the values of the condition keys that they depend on."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from moorage.policy.matching.variables import Context

T = TypeVar("T")

LONGEST: Final = 256
"""Characters of a value that an answer is kept under."""
_numbers: Final = count()


class Answers(Protocol):
    """Where answers are kept, bounded by whoever hands it in. One serves many plans: every key has its own number."""

    def get(self, key: tuple[object, ...], /) -> Any:
        """The answer that is kept under the key, or None."""

    def keep(self, key: tuple[object, ...], value: Any, /) -> None:
        """Keep it for as long as there is room."""


class Forgetful:
    """Keeps no answer."""

    def get(self, _key: tuple[object, ...], /) -> None:
        return None

    def keep(self, _key: tuple[object, ...], _value: Any, /) -> None:
        return None


class ByValues(Generic[T]):
    """What some statements answer together, found out once for each combination of the values that they read."""

    __slots__ = ("_answers", "_find", "_number", "_reads", "_reads_resource")

    def __init__(
        self, find: Callable[[str, str, Context], T], reads: tuple[str, ...], answers: Answers, *, reads_resource: bool
    ) -> None:
        """`find(resource, account, context)` depends on the values of the keys `reads`, and the resource, if so.

        `find` must not refer to what holds this object: reference cycles wait for the garbage collector.
        """
        self._find: Final = find
        self._reads: Final = reads
        self._answers: Final = answers
        self._reads_resource: Final = reads_resource
        self._number: Final = number()

    def ask(self, resource: str, account: str, context: Context) -> T:
        """The answer, kept or found. Raises what `find` raises."""
        key = (self._number, account, resource if self._reads_resource else None, *map(context.get, self._reads))
        try:
            known: T | None = self._answers.get(key)
        except TypeError:  # a value that can be no key, and so is no text
            return self._find(resource, account, context)
        if known is None:
            known = self._find(resource, account, context)
            for value in key[1:]:
                if value is not None and (type(value) is not str or len(value) > LONGEST):
                    return known
            self._answers.keep(key, known)
        return known


def number() -> int:
    """A number for keys of `Answers`, which nothing else has."""
    return next(_numbers)
