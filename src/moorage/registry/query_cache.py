"""Caches results of the metadata store until anything is committed."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from moorage.cache import Cache
from moorage.store.metadata.database.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_BYTES: Final = 16 << 20


class QueryCache(Generic[K, V]):
    """Reads through to the database. It caches nothing where the database cannot tell cheaply that nothing changed."""

    def __init__(self, db: Database, name: str, size_of: Callable[[K, V], int]) -> None:
        """`name` and `size_of` are those of the `Cache`, which holds at most `MAX_BYTES`."""
        self._db = db
        self._version: int | None = None
        self._cache: Cache[K, V] = Cache(name, MAX_BYTES, size_of)

    async def get(self, key: K, read: Callable[[Connection], V]) -> V:
        """Return what `read` returns for the key, now or since the last commit. Exceptions are not cached."""
        # Asked before reading, so that a result is never older than its version.
        version = self._db.changed()
        if version is None:
            return await self._db.read(read)
        if version != self._version:
            self._version = version
            self._cache.clear()
        elif key in self._cache:
            return self._cache[key]
        value = await self._db.read(read)
        if version == self._version:
            self._cache.keep(key, value)
        return value
