"""Statements about the time that the servers of this database have observed: one row, see `store/elapsed.py`."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from moorage.store.metadata.tables import observed_clock

_ID = 1
_decode = msgspec.json.Decoder(list[tuple[float, float]]).decode


class Record(NamedTuple):
    """What servers have observed."""

    seen_at: float
    """The time by the clock when a server last looked at it, in seconds since the epoch."""
    gaps: list[tuple[float, float]]
    """Start and end of each period that no server has seen pass."""


def find(conn: Connection) -> Record | None:
    """Return what servers have observed; None if no server has looked yet."""
    row = conn.execute(select(observed_clock.c.seen_at, observed_clock.c.gaps)).one_or_none()
    return None if row is None else Record(row.seen_at, _decode(row.gaps))


def save(conn: Connection, seen_at: float, gaps: Sequence[tuple[float, float]]) -> None:
    """Store what servers have observed, in place of what was stored."""
    values = {"seen_at": seen_at, "gaps": msgspec.json.encode(gaps).decode()}
    if not conn.execute(update(observed_clock).where(observed_clock.c.id == _ID).values(values)).rowcount:
        conn.execute(insert(observed_clock).values(id=_ID, **values))
