"""The authorization epoch: numbers that every change of identity or policy raises in its own transaction.

Caches of credentials, identities and compiled policies are good while theirs stands still. There are two, because
what is changed most often, what belongs to one repository, leaves everything else as it was.
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
    """Raised by changes that reach further than one repository: of identities, registries, the organisation."""


_CURRENT = Query(select(epoch.c.value, epoch.c.wide).where(epoch.c.id == 1))
_ADVANCE = Change(update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1, wide=epoch.c.wide + 1))
_ADVANCE_REPOSITORY = Change(update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1))


def current(conn: Connection) -> Epoch:
    """The epoch as this snapshot sees it."""
    row = _CURRENT.first(conn, {})
    assert row is not None  # noqa: S101 - the first migration made it
    return Epoch(row.value, row.wide)


def advance(conn: Connection) -> None:
    """Raise the epoch; call it in the transaction of the change that others must notice."""
    _ADVANCE.run(conn, {})


def advance_repository(conn: Connection) -> None:
    """The same for a change that concerns one repository alone."""
    _ADVANCE_REPOSITORY.run(conn, {})


class EpochCache(Generic[K, V]):
    """Caches results that only a change of the epoch can change; emptied when it changes."""

    def __init__(
        self,
        name: str,
        most: int,
        part: Part,
        size_of: Callable[[K, V], int],
        shares: Callable[[V], Iterable[Sized]] = nothing,
    ) -> None:
        """`part`: which number of the epoch the results depend on. The others as of `Cache`."""
        self._part = Epoch._fields.index(part)
        self._epoch = -1
        self._kept: Cache[K, V] = Cache(name, most, size_of, shares)

    def known(self, key: K, epoch: Epoch | None) -> V | None:
        """The result, if it is kept and the epoch that was just read is the one it is kept under."""
        return self._kept.get(key) if epoch is not None and epoch[self._part] == self._epoch else None

    def keep(self, key: K, value: V, epoch: Epoch) -> None:
        """Keep what was found out under that epoch, or after it."""
        self._keep(key, value, epoch[self._part])

    def _keep(self, key: K, value: V, number: int) -> None:
        self._now(number)
        if number == self._epoch:
            self._kept.keep(key, value)

    def __len__(self) -> int:
        return len(self._kept)

    def _now(self, value: int) -> None:
        """Epochs only rise: an older result that arrives late changes nothing."""
        if value > self._epoch:
            self._kept.clear()
            self._epoch = value


class Epochs:
    """The epoch of a database. A commit by anybody costs one look at it, however many ask.

    Where the database cannot tell cheaply that something was committed, it is asked every time.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self._seen: int | None = None
        self._current = Epoch(-1, -1)

    async def now(self) -> Epoch:
        """The epoch."""
        changed = self.db.changed()
        if changed is None:
            return await self.db.read(current)
        if changed != self._seen:
            self._current = await self.db.read(current)
            self._seen = changed
        return self._current


class ReadThroughCache(EpochCache[K, V]):
    """Such results, read from the database.

    Where that cannot tell cheaply that something was committed, only what is asked for with a `known` epoch is kept:
    else the epoch comes with the result.
    """

    def __init__(self, epochs: Epochs, name: str, most: int, part: Part, size_of: Callable[[K, V], int]) -> None:
        super().__init__(name, most, part, size_of)
        self._epochs = epochs

    async def get(
        self, key: K, read: Callable[[Connection], tuple[int, V]], known: Epoch | None = None
    ) -> tuple[int, V]:
        """The epoch (this part of it) and what `read` returned under it.

        `known`: the epoch, where it has been read since the request came; it is not asked for again then.
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
