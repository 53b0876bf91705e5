"""The authorization epoch: numbers that every change of identity or policy raises in its own transaction.

Caches of credentials, identities and compiled policies are valid while their number does not change. There are two
numbers, because the most frequent changes concern one repository, and leave the other caches valid.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Literal, NamedTuple, TypeVar

from sqlalchemy import Connection, select, update

from moorage.cache import Cache, Sized, nothing
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import epoch

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Part = Literal["value", "wide"]


class Epoch(NamedTuple):
    """The epoch at one moment."""

    value: int
    """Raised by every change."""
    wide: int
    """Raised by changes that concern more than one repository: of identities, registries, the organization."""


_CURRENT = Query(select(epoch.c.value, epoch.c.wide).where(epoch.c.id == 1))
_ADVANCE = Change(update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1, wide=epoch.c.wide + 1))
_ADVANCE_REPOSITORY = Change(update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1))


def current(conn: Connection) -> Epoch:
    """Return the epoch of this snapshot."""
    row = _CURRENT.first(conn, {})
    assert row is not None  # noqa: S101 - the first migration inserted it
    return Epoch(row.value, row.wide)


def advance(conn: Connection) -> None:
    """Raise both numbers. Call it in the transaction of the change; `events.record` does."""
    _ADVANCE.run(conn, {})


def advance_repository(conn: Connection) -> None:
    """Raise the epoch for a change that concerns only one repository."""
    _ADVANCE_REPOSITORY.run(conn, {})


class EpochCache(Generic[K, V]):
    """Caches results that can only change with the epoch. A change of the epoch empties the cache."""

    def __init__(
        self,
        name: str,
        most: int,
        part: Part,
        size_of: Callable[[K, V], int],
        shares: Callable[[V], Iterable[Sized]] = nothing,
    ) -> None:
        """`part`: the number of the epoch that the results depend on. The other parameters are those of `Cache`."""
        self._part = Epoch._fields.index(part)
        self._epoch = -1
        self._kept: Cache[K, V] = Cache(name, most, size_of, shares)

    def known(self, key: K, epoch: Epoch | None) -> V | None:
        """Return the result, if it is cached under this epoch, which was just read."""
        return self._kept.get(key) if epoch is not None and epoch[self._part] == self._epoch else None

    def keep(self, key: K, value: V, epoch: Epoch) -> None:
        """Cache a result that was read under that epoch, or after it."""
        self._keep(key, value, epoch[self._part])

    def _keep(self, key: K, value: V, number: int) -> None:
        self._now(number)
        if number == self._epoch:
            self._kept.keep(key, value)

    def __len__(self) -> int:
        return len(self._kept)

    def _now(self, value: int) -> None:
        """Empty the cache if the epoch has risen. An older result that arrives late changes nothing."""
        if value > self._epoch:
            self._kept.clear()
            self._epoch = value


class Epochs:
    """Reads the epoch of a database: once for each commit, however many callers ask.

    Where the database cannot tell cheaply that something was committed, each call reads it.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self._seen: int | None = None
        self._current = Epoch(-1, -1)

    async def now(self) -> Epoch:
        """Return the epoch."""
        changed = self.db.changed()
        if changed is None:
            return await self.db.read(current)
        if changed != self._seen:
            self._current = await self.db.read(current)
            self._seen = changed
        return self._current


class ReadThroughCache(EpochCache[K, V]):
    """Caches results that are read from the database, with their epoch.

    Where the database cannot tell cheaply that something was committed, only calls with a `known` epoch use the cache.
    """

    def __init__(self, epochs: Epochs, name: str, most: int, part: Part, size_of: Callable[[K, V], int]) -> None:
        super().__init__(name, most, part, size_of)
        self._epochs = epochs

    async def get(
        self, key: K, read: Callable[[Connection], tuple[int, V]], known: Epoch | None = None
    ) -> tuple[int, V]:
        """Return the number of the epoch, and what `read` returned under it.

        `known`: the epoch, if it was read since the request came; then it is not read again.
        """
        db = self._epochs.db
        if known is None:
            if db.changed() is None:
                return await db.read(read)
            known = await self._epochs.now()
        self._now(known[self._part])
        if key in self._kept:
            return self._epoch, self._kept[key]
        at, value = await db.read(read)
        self._keep(key, value, at)
        return at, value
