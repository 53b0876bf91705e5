"""Statements about the outbox: one row for each event, written in the transaction of the change.

Transactions on PostgreSQL do not commit in the order of their ids, so a reader that goes on from the last id it saw
misses rows that are committed later. Each row therefore gets a *position* after its commit. Positions are given under a
lock that is held until they are committed: when a position can be read, so can all before it. A reader that goes on
from the last position it saw (its *cursor*) misses nothing, on both databases, after a restore too.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from moorage.store.metadata.database.statement import Change
from moorage.store.metadata.tables import outbox, outbox_cursors

NEWEST: Final = "newest"
"""The cursor that is the highest position given so far."""

_COLUMNS = ("at", "account", "region", "kind", "payload")
_ADD = Change(insert(outbox).values(**{name: bindparam(name) for name in _COLUMNS}))


class StoredEvent(NamedTuple):
    """An event that has a position."""

    position: int
    at: float
    """When it happened, in seconds since the epoch."""
    account: str
    region: str
    """Empty: it belongs to the account in every region."""
    kind: str
    payload: str
    """JSON."""


def add(conn: Connection, *, at: float, account: str, region: str, kind: str, payload: str) -> None:
    """Add an event. `region` is empty for what belongs to an account in every region; `payload` is JSON."""
    _ADD.run(conn, {"at": at, "account": account, "region": region, "kind": kind, "payload": payload})


def is_waiting(conn: Connection, name: str) -> bool:
    """Return whether there are events that the reader `name` has not read."""
    new = select(outbox.c.id).where(outbox.c.position.is_(None)).limit(1)
    return conn.execute(new).first() is not None or cursor(conn, NEWEST) > cursor(conn, name)


def give_positions(conn: Connection, limit: int) -> int:
    """Give positions to at most `limit` events that have none, by their ids. Returns how many.

    On PostgreSQL its transaction must be READ COMMITTED: each statement then sees what was committed before it, and the
    second one what whoever had the lock before has done.
    """
    base = _locked(conn)
    rank = func.row_number().over(order_by=outbox.c.id).label("rank")
    new = select(outbox.c.id, rank).where(outbox.c.position.is_(None)).order_by(outbox.c.id).limit(limit).subquery()
    given = conn.execute(update(outbox).where(outbox.c.id == new.c.id).values(position=base + new.c.rank)).rowcount
    if given:
        conn.execute(update(outbox_cursors).where(outbox_cursors.c.name == NEWEST).values(position=base + given))
    return given


def _locked(conn: Connection) -> int:
    """Lock the highest position until the end of the transaction, and return it."""
    here = select(outbox_cursors.c.position).where(outbox_cursors.c.name == NEWEST).with_for_update()
    found = conn.execute(here).scalar_one_or_none()
    if found is None:  # two that insert it collide, and the second runs again
        conn.execute(insert(outbox_cursors).values(name=NEWEST, position=0))
        return 0
    return int(found)


def cursor(conn: Connection, name: str) -> int:
    """Return the position up to which the reader `name` has read; 0 at first."""
    found = conn.execute(select(outbox_cursors.c.position).where(outbox_cursors.c.name == name)).scalar_one_or_none()
    return found or 0


def move_cursor(conn: Connection, name: str, *, was: int, to: int) -> bool:
    """Move the cursor of a reader, unless another process has moved it since it was at `was`; returns whether."""
    here = (outbox_cursors.c.name == name, outbox_cursors.c.position == was)
    if conn.execute(update(outbox_cursors).where(*here).values(position=to)).rowcount:
        return True
    if was or conn.execute(select(outbox_cursors.c.name).where(outbox_cursors.c.name == name)).first() is not None:
        return False
    conn.execute(insert(outbox_cursors).values(name=name, position=to))
    return True


def after(conn: Connection, position: int, limit: int) -> list[StoredEvent]:
    """Return at most `limit` events behind a position, by their positions."""
    of = outbox.c
    columns = (of.position, of.at, of.account, of.region, of.kind, of.payload)
    statement = select(*columns).where(of.position > position).order_by(of.position).limit(limit)
    return [StoredEvent(*row) for row in conn.execute(statement)]


def waiting(conn: Connection, name: str) -> int:
    """Return how many events the reader `name` has not read, whether they have positions or not."""
    new = select(func.count()).select_from(outbox).where(outbox.c.position.is_(None))
    return int(conn.execute(new).scalar_one()) + cursor(conn, NEWEST) - cursor(conn, name)


def expired(
    conn: Connection, *, read_up_to: int | None, before: float, most: int, limit: int
) -> list[tuple[int, bool]]:
    """Return the ids of events to delete, looked for among the `limit` oldest, and whether each one has been read.

    They are the ones of before `before` that have been read up to `read_up_to` (None: nobody reads), and, read or not,
    those beyond the newest `most`.
    """
    newest = conn.execute(select(func.max(outbox.c.id))).scalar_one() or 0
    rows = conn.execute(select(outbox.c.id, outbox.c.at, outbox.c.position).order_by(outbox.c.id).limit(limit))
    found = []
    for row in rows:
        is_read = read_up_to is None or (row.position is not None and row.position <= read_up_to)
        if row.id <= newest - most or (is_read and row.at < before):
            found.append((row.id, is_read))
    return found


def drop(conn: Connection, ids: Sequence[int]) -> None:
    """Delete the events with these ids."""
    conn.execute(delete(outbox).where(outbox.c.id.in_(ids)))
