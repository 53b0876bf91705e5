"""A memory of what can be found out again."""

from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V]):
    """Keeps at most `most` entries; past them it starts anew, which costs less than knowing who was asked for last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> None:
        if len(self) >= self._most and key not in self:
            self.clear()
        self[key] = value
