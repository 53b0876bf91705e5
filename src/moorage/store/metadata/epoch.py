"""The authorisation epoch: one number that every change of identity or policy raises in its own transaction.

Caches of credentials, identities and compiled policies are good while it stands still.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sqlalchemy import Connection, select, update

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


class UnderEpoch(Generic[K, V]):
    """Answers that only a raised epoch can change, kept for as long as it stands; at most `most` of them.

    A commit by anybody costs one look at the epoch. Where the database cannot tell cheaply that something was
    committed, only what is asked for with a `known` epoch is kept: else the epoch comes with the answer.
    """

    def __init__(self, db: Database, most: int) -> None:
        self._db = db
        self._most = most
        self._seen: int | None = None
        self._epoch = -1
        self._kept: dict[K, V] = {}

    async def get(self, key: K, read: Callable[[Connection], tuple[int, V]], known: int | None = None) -> tuple[int, V]:
        """The epoch and what `read` returned under it.

        `known`: the epoch, where it has been read since the request came; it is not asked for again then.
        """
        if known is not None:
            self._now(known)
        else:
            changed = self._db.changed()
            if changed is None:
                return await self._db.read(read)
            if changed != self._seen:
                self._now(await self._db.read(current))
                self._seen = changed
        if key in self._kept:
            return self._epoch, self._kept[key]
        at, value = await self._db.read(read)
        self._now(at)
        if at == self._epoch:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = value
        return at, value

    def known(self, key: K, epoch: int | None) -> V | None:
        """The answer, if it is kept and the epoch that was just read is the one it is kept under."""
        return self._kept.get(key) if epoch == self._epoch else None

    def __len__(self) -> int:
        return len(self._kept)

    def _now(self, value: int) -> None:
        """Epochs only rise: an older answer that arrives late changes nothing."""
        if value > self._epoch:
            self._kept.clear()
            self._epoch = value
