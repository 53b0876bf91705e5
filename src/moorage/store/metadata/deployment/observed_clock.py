"""Statements about the time that servers of this database have observed: one row."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from moorage.store.metadata.tables import observed_clock

_ID = 1
_decode = msgspec.json.Decoder(list[tuple[float, float]]).decode


class Record(NamedTuple):
    """What the row says."""

    seen_at: float
    """The clock when a server looked at it last; seconds since the epoch."""
    gaps: list[tuple[float, float]]
    """Beginning and end of each time that no server has seen pass."""


def find(conn: Connection) -> Record | None:
    row = conn.execute(select(observed_clock.c.seen_at, observed_clock.c.gaps)).one_or_none()
    return None if row is None else Record(row.seen_at, _decode(row.gaps))


def save(conn: Connection, seen_at: float, gaps: Sequence[tuple[float, float]]) -> None:
    values = {"seen_at": seen_at, "gaps": msgspec.json.encode(gaps).decode()}
    if not conn.execute(update(observed_clock).where(observed_clock.c.id == _ID).values(values)).rowcount:
        conn.execute(insert(observed_clock).values(id=_ID, **values))
