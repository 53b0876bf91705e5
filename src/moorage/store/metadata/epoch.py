"""The authorisation epoch: one number that every change of identity or policy raises in its own transaction.

Caches of credentials, identities and compiled policies are good while it stands still.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sqlalchemy import Connection, select, update

from moorage.memo import Memo
from moorage.store.metadata.database import Database
from moorage.store.metadata.statement import Change, Query
from moorage.store.metadata.tables import epoch

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_CURRENT = Query(select(epoch.c.value).where(epoch.c.id == 1))
_ADVANCE = Change(update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1))


def current(conn: Connection) -> int:
    """The epoch as this snapshot sees it."""
    row = _CURRENT.first(conn, {})
    assert row is not None  # noqa: S101 - the first migration made it
    return int(row.value)


def advance(conn: Connection) -> None:
    """Raise the epoch by one; call it in the transaction of the change that others must notice."""
    _ADVANCE.run(conn, {})


class PerEpoch(Generic[K, V]):
    """Answers that only a raised epoch can change, kept for as long as it stands; at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._epoch = -1
        self._kept: Memo[K, V] = Memo(most)

    def known(self, key: K, epoch: int | None) -> V | None:
        """The answer, if it is kept and the epoch that was just read is the one it is kept under."""
        return self._kept.get(key) if epoch == self._epoch else None

    def keep(self, key: K, value: V, epoch: int) -> None:
        """Keep what was found out under that epoch, or after it."""
        self._now(epoch)
        if epoch == self._epoch:
            self._kept.keep(key, value)

    def __len__(self) -> int:
        return len(self._kept)

    def _now(self, value: int) -> None:
        """Epochs only rise: an older answer that arrives late changes nothing."""
        if value > self._epoch:
            self._kept.clear()
            self._epoch = value


class UnderEpoch(PerEpoch[K, V]):
    """Such answers, read from the database.

    A commit by anybody costs one look at the epoch. Where the database cannot tell cheaply that something was
    committed, only what is asked for with a `known` epoch is kept: else the epoch comes with the answer.
    """

    def __init__(self, db: Database, most: int) -> None:
        super().__init__(most)
        self._db = db
        self._seen: int | None = None

    async def now(self) -> int:
        """The epoch."""
        changed = self._db.changed()
        if changed is None:
            return await self._db.read(current)
        if changed != self._seen:
            self._now(await self._db.read(current))
            self._seen = changed
        return self._epoch

    async def get(self, key: K, read: Callable[[Connection], tuple[int, V]], known: int | None = None) -> tuple[int, V]:
        """The epoch and what `read` returned under it.

        `known`: the epoch, where it has been read since the request came; it is not asked for again then.
        """
        if known is not None:
            self._now(known)
        elif self._db.changed() is None:
            return await self._db.read(read)
        else:
            await self.now()
        if key in self._kept:
            return self._epoch, self._kept[key]
        at, value = await self._db.read(read)
        self.keep(key, value, at)
        return at, value
