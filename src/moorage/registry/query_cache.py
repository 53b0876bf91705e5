"""Answers of the metadata store, cached until anything is committed."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from moorage.cache import Cache
from moorage.store.metadata.database.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_BYTES: Final = 16 << 20


class Recent(Generic[K, V]):
    """Reads through to the database, which says cheaply whether anything changed; without that, caches nothing."""

    def __init__(self, db: Database, name: str, size_of: Callable[[K, V], int]) -> None:
        """`name` and `size_of` are those of the `Cache`; it holds at most `MOST_BYTES`."""
        self._db = db
        self._version: int | None = None
        self._kept: Cache[K, V] = Cache(name, MOST_BYTES, size_of)

    async def get(self, key: K, read: Callable[[Connection], V]) -> V:
        """What `read` returns; what it raises is not cached."""
        # Asked before reading: an answer newer than its version is thrown away too early, never too late.
        version = self._db.changed()
        if version is None:
            return await self._db.read(read)
        if version != self._version:
            self._version = version
            self._kept.clear()
        elif key in self._kept:
            return self._kept[key]
        value = await self._db.read(read)
        if version == self._version:
            self._kept.keep(key, value)
        return value
