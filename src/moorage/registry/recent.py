"""Answers of the metadata store, kept for as long as nobody has committed anything."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from moorage.store.metadata.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_WEIGHT = 16 << 20


class Recent(Generic[K, V]):
    """Reads through to the database, which says cheaply whether anything changed; without that, keeps nothing.

    `weigh` tells what an answer costs to keep, in bytes; at most `MOST_WEIGHT` are kept.
    """

    def __init__(self, db: Database, weigh: Callable[[V], int]) -> None:
        self._db = db
        self._weigh = weigh
        self._version: int | None = None
        self._kept: dict[K, V] = {}
        self._weight = 0

    async def get(self, key: K, read: Callable[[Connection], V]) -> V:
        """What `read` returns; what it raises is not kept."""
        # Asked before reading: an answer newer than its version is thrown away too early, never too late.
        version = self._db.changed()
        if version is None:
            return await self._db.read(read)
        if version != self._version:
            self._clear(version)
        elif key in self._kept:
            return self._kept[key]
        value = await self._db.read(read)
        if version == self._version:
            self._keep(key, value)
        return value

    def _keep(self, key: K, value: V) -> None:
        weight = self._weigh(value)
        if self._weight + weight > MOST_WEIGHT:
            self._clear(self._version)
        if weight <= MOST_WEIGHT and key not in self._kept:
            self._kept[key] = value
            self._weight += weight

    def _clear(self, version: int | None) -> None:
        self._version = version
        self._kept.clear()
        self._weight = 0
