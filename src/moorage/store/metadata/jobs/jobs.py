"""Statements about background jobs: a lease table.

A runner claims jobs for some seconds and renews their leases while they run. A runner that finds an expired lease takes
the job over. What a runner reports counts only while it holds the lease of that very attempt, so one that was thought
dead changes nothing. Leases go by the database's clock, which all runners share.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, literal_column, or_, select, update
from sqlalchemy import text as sql_text

from moorage.store.metadata.jobs.state import State
from moorage.store.metadata.jobs.tables import jobs

_UNFINISHED: Final = ("queued", "running")
_LONGEST_ERROR: Final = 4096
"""Characters of an error that are kept."""


class Job(NamedTuple):
    """A row of the table. Times are seconds since the epoch."""

    id: int
    kind: str
    key: str | None
    payload: str
    """JSON."""
    state: State
    priority: int
    created_at: float
    run_at: float
    """While it is queued: it is not started before."""
    attempts: int
    """Attempts that were started."""
    started_at: float | None
    """When the last attempt was started."""
    leased_by: str | None
    leased_until: float | None
    cancel: bool
    """Whether a person asked for its end."""
    progress: str | None
    """JSON."""
    error: str | None
    """Why the last attempt failed."""
    ended_at: float | None


class Claimed(NamedTuple):
    """A job that was leased."""

    id: int
    kind: str
    payload: str
    attempt: int
    """1 for the first."""
    cancel: bool
    progress: str | None
    """What an earlier attempt reported last, as JSON."""


class Settled(NamedTuple):
    """The outcome of an attempt."""

    id: int
    attempt: int
    state: State
    """`queued`: it is to be tried again, after `delay`."""
    delay: float
    """Seconds."""
    progress: str | None
    error: str | None


class Backlog(NamedTuple):
    """The jobs that could run now, and wait."""

    number: int
    oldest: float
    """Seconds that the oldest of them has waited; 0 if there is none."""


def now_of_database(conn: Connection) -> float:
    """Return the time of the database: on SQLite this machine's, on PostgreSQL that of its server."""
    if conn.dialect.name == "postgresql":
        return float(conn.execute(sql_text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()


def enqueue(
    conn: Connection,
    kind: str,
    payload: str,
    *,
    now: float,
    run_at: float | None = None,
    key: str | None = None,
    priority: int = 0,
) -> int | None:
    """Add a job in the transaction that causes it, and return its id.

    Returns None if an unfinished job of that kind has the same `key`. If that job runs, it may have read what this
    transaction changes before the change: give no key where each change needs a job after it.
    """
    if key is not None:
        same = (jobs.c.kind == kind, jobs.c.key == key, jobs.c.state.in_(_UNFINISHED))
        if conn.execute(select(jobs.c.id).where(*same)).first() is not None:
            return None
    row = {
        "kind": kind,
        "key": key,
        "payload": payload,
        "state": "queued",
        "priority": priority,
        "created_at": now,
        "run_at": now if run_at is None else run_at,
        "attempts": 0,
        "cancel": False,
    }
    return int(conn.execute(insert(jobs).values(row).returning(jobs.c.id)).scalar_one())


def _claimable(kinds: Collection[str], now: float, lease_now: float) -> Any:
    waiting = and_(jobs.c.state == literal_column("'queued'"), jobs.c.kind.in_(kinds), jobs.c.run_at <= now)
    abandoned = and_(
        jobs.c.state == literal_column("'running'"), jobs.c.kind.in_(kinds), jobs.c.leased_until <= lease_now
    )
    return or_(waiting, abandoned)


def due(conn: Connection, kinds: Collection[str], now: float) -> bool:
    """Return whether a claim would find a job."""
    claimable = _claimable(kinds, now, now_of_database(conn))
    return conn.execute(select(jobs.c.id).where(claimable).limit(1)).first() is not None


def claim(
    conn: Connection, runner: str, kinds: Collection[str], most: int, *, now: float, seconds: float
) -> list[Claimed]:
    """Lease at most `most` jobs of those kinds for `seconds`: by priority, then the ones that have been due longest."""
    lease_now = now_of_database(conn)
    found = select(jobs.c.id).where(_claimable(kinds, now, lease_now))
    found = found.order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id).limit(most)
    ids = list(conn.execute(found.with_for_update(skip_locked=True)).scalars())  # SQLite writes one after the other
    if not ids:
        return []
    leased = {"state": "running", "attempts": jobs.c.attempts + 1, "leased_by": runner, "started_at": now}
    statement = update(jobs).where(jobs.c.id.in_(ids)).values(leased | {"leased_until": lease_now + seconds})
    columns = (jobs.c.id, jobs.c.kind, jobs.c.payload, jobs.c.attempts, jobs.c.cancel, jobs.c.progress)
    by_id = {row.id: Claimed(*row) for row in conn.execute(statement.returning(*columns))}
    return [by_id[each] for each in ids]


def renew(
    conn: Connection, runner: str, running: Mapping[tuple[int, int], str | None], *, seconds: float
) -> dict[tuple[int, int], bool]:
    """Renew the leases of attempts (job, attempt) and store their progress.

    Returns those that the runner still holds, each with whether a person asked for its end.
    """
    until = now_of_database(conn) + seconds
    held = {}
    for (job, attempt), progress in running.items():
        statement = _held(runner, job, attempt).values({"leased_until": until, "progress": progress})
        row = conn.execute(statement.returning(jobs.c.cancel)).first()
        if row is not None:
            held[job, attempt] = bool(row.cancel)
    return held


def settle(conn: Connection, runner: str, settled: Settled, *, now: float) -> bool:
    """Store the outcome of an attempt. Returns False, and changes nothing, if the runner no longer holds its lease."""
    values: dict[str, Any] = {
        "state": settled.state,
        "run_at": now + settled.delay,
        "progress": settled.progress,
        "error": None if settled.error is None else _storable(settled.error),
        "ended_at": None if settled.state in _UNFINISHED else now,
        "leased_by": None,
        "leased_until": None,
    }
    return conn.execute(_held(runner, settled.id, settled.attempt).values(values)).rowcount == 1


def _storable(text: str) -> str:
    """Return at most _LONGEST_ERROR characters of a text, without what a database does not take."""
    return text[:_LONGEST_ERROR].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def release(conn: Connection, runner: str, *, now: float) -> None:
    """Release every lease of the runner, as if its attempts had not been started, because it stops."""
    back = {"state": "queued", "run_at": now, "leased_by": None, "leased_until": None}
    mine = update(jobs).where(jobs.c.state == "running", jobs.c.leased_by == runner)
    conn.execute(mine.values(back | {"attempts": jobs.c.attempts - 1}))


def _held(runner: str, job: int, attempt: int) -> Any:
    held = (jobs.c.id == job, jobs.c.state == "running", jobs.c.leased_by == runner, jobs.c.attempts == attempt)
    return update(jobs).where(*held)


def cancel(conn: Connection, job: int, *, now: float) -> bool:
    """Cancel a job. A queued one is over at once; a running one when its runner notices. False: it is over already."""
    idle = or_(jobs.c.state == "queued", and_(jobs.c.state == "running", jobs.c.leased_until <= now_of_database(conn)))
    waiting = update(jobs).where(jobs.c.id == job, idle)
    if conn.execute(waiting.values(state="canceled", cancel=True, ended_at=now)).rowcount:
        return True
    running = update(jobs).where(jobs.c.id == job, jobs.c.state == "running")
    return conn.execute(running.values(cancel=True)).rowcount == 1


def retry(conn: Connection, job: int, *, now: float) -> bool:
    """Queue a dead or canceled job again, with all its attempts.

    Returns False if it is neither, or if another unfinished job of its kind has its key.
    """
    other = jobs.alias()
    taken = (
        select(other.c.id)
        .where(other.c.kind == jobs.c.kind, other.c.key == jobs.c.key, other.c.state.in_(_UNFINISHED))
        .exists()
    )
    statement = update(jobs).where(jobs.c.id == job, jobs.c.state.in_(("dead", "canceled")), ~taken)
    again = {"state": "queued", "run_at": now, "attempts": 0, "cancel": False, "ended_at": None}
    return conn.execute(statement.values(again)).rowcount == 1


def find(conn: Connection, job: int) -> Job | None:
    """Return the job, or None."""
    row = conn.execute(select(*_COLUMNS).where(jobs.c.id == job)).one_or_none()
    return None if row is None else Job(*row)


def page(conn: Connection, *, kind: str | None, states: Collection[str], before: int | None, limit: int) -> list[Job]:
    """Return at most `limit` jobs, the newest first.

    `kind`: only of that kind; `states`: only in one of these, in any if there is none; `before`: the id of the last job
    of the page before.
    """
    statement = select(*_COLUMNS)
    if kind is not None:
        statement = statement.where(jobs.c.kind == kind)
    if states:
        statement = statement.where(jobs.c.state.in_(states))
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return [Job(*row) for row in conn.execute(statement.order_by(jobs.c.id.desc()).limit(limit))]


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs there are, by kind and state."""
    found = conn.execute(select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state))
    return {(kind, state): number for kind, state, number in found}


def backlog(conn: Connection, *, now: float) -> Backlog:
    """Return what could run at `now` and waits for a free place."""
    due = (jobs.c.state == literal_column("'queued'"), jobs.c.run_at <= now)
    number, oldest = conn.execute(select(func.count(), func.min(jobs.c.run_at)).where(*due)).one()
    return Backlog(number, 0.0 if oldest is None else now - oldest)


def delete_finished(conn: Connection, before: float, limit: int) -> int:
    """Delete at most `limit` jobs that were done or canceled before `before`. Returns how many."""
    ids = select(jobs.c.id).where(jobs.c.state.in_(("done", "canceled")), jobs.c.ended_at < before).limit(limit)
    return conn.execute(delete(jobs).where(jobs.c.id.in_(ids))).rowcount


def delete_surplus(conn: Connection, kind: str, state: State, *, key: str | None, most: int, limit: int) -> int:
    """Delete at most `limit` jobs of a kind in that state beyond the newest `most`. Returns how many.

    `key`: only jobs with that key are counted and deleted; None: all.
    """
    here = [jobs.c.kind == kind, jobs.c.state == state, *([] if key is None else [jobs.c.key == key])]
    ids = select(jobs.c.id).where(*here).order_by(jobs.c.id.desc()).offset(most).limit(limit)
    found = list(conn.execute(ids).scalars())
    return conn.execute(delete(jobs).where(jobs.c.id.in_(found))).rowcount if found else 0


_COLUMNS: Final = tuple(jobs.c[name] for name in Job._fields)
