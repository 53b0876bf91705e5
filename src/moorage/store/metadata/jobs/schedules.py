"""Statements about schedules: one row for each kind of job that is due again and again."""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy import Connection, delete, insert, select, update

from moorage.store.metadata.jobs.tables import schedules


class Interval(Protocol):
    """When a kind is due, in seconds."""

    @property
    def every(self) -> float: ...

    @property
    def first_after(self) -> float: ...


def all_of(conn: Connection) -> dict[str, float]:
    """Return when each kind that has a schedule is due next, in seconds since the epoch."""
    return {row.kind: row.next_at for row in conn.execute(select(schedules.c.kind, schedules.c.next_at))}


def ensure(conn: Connection, intervals: Mapping[str, Interval], *, now: float) -> None:
    """Keep exactly one schedule for each of these kinds. New ones are due in `first_after`.

    One that is further ahead than its interval is moved back: the clock was set back, or the interval was longer.
    """
    known = all_of(conn)
    if gone := known.keys() - intervals.keys():
        conn.execute(delete(schedules).where(schedules.c.kind.in_(sorted(gone))))
    for kind, of in intervals.items():
        if kind not in known:
            conn.execute(insert(schedules).values(kind=kind, next_at=now + of.first_after))
        elif known[kind] > now + max(of.every, of.first_after):
            conn.execute(update(schedules).where(schedules.c.kind == kind).values(next_at=now + of.every))


def move(conn: Connection, kind: str, *, was: float, to: float) -> bool:
    """Move a schedule on. Returns False, and changes nothing, if another process has moved it."""
    statement = update(schedules).where(schedules.c.kind == kind, schedules.c.next_at == was)
    return conn.execute(statement.values(next_at=to)).rowcount == 1
