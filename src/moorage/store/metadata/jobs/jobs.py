"""Statements about background jobs: a lease table.

A runner claims jobs for some seconds and renews the lease while they run. Whoever finds a lease that has run out takes
the job over. What a runner reports counts only while it holds the lease of that very attempt, so that one that was
thought dead changes nothing. Leases go by the database's clock, which all runners share; when a job is due goes by
Moorage's, which dev mode may set.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Row, and_, delete, func, insert, literal_column, or_, select, text, update

from moorage.store.metadata.jobs.tables import jobs, schedules

State = Literal["queued", "running", "done", "dead", "cancelled"]
"""`dead`: its attempts are used up; it waits for a person. `queued` and `running` are unfinished."""
_UNFINISHED: Final = ("queued", "running")
_LONGEST_ERROR: Final = 4096


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
    """What became of an attempt."""

    id: int
    attempt: int
    state: State
    """`queued`: it is to be tried again, at `run_at`."""
    run_at: float
    progress: str | None
    error: str | None


def _now_of_database(conn: Connection) -> float:
    if conn.dialect.name == "postgresql":
        return float(conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return float(conn.execute(text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one())


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
    """Add a job to the transaction that causes it; its id.

    None when a job of that kind and `key` is unfinished already. One that is running may have read what the transaction
    changes before it: give no key where each change needs a run after it.
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
    """Whether a claim would find anything."""
    claimable = _claimable(kinds, now, _now_of_database(conn))
    return conn.execute(select(jobs.c.id).where(claimable).limit(1)).first() is not None


def claim(
    conn: Connection, runner: str, kinds: Collection[str], most: int, *, now: float, seconds: float
) -> list[Claimed]:
    """Lease at most `most` jobs of those kinds for `seconds`: by priority, then those that are due longest."""
    lease_now = _now_of_database(conn)
    found = select(jobs.c.id).where(_claimable(kinds, now, lease_now))
    found = found.order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id).limit(most)
    ids = list(conn.execute(found.with_for_update(skip_locked=True)).scalars())  # SQLite writes one after the other
    if not ids:
        return []
    leased = {"state": "running", "attempts": jobs.c.attempts + 1, "leased_by": runner}
    statement = update(jobs).where(jobs.c.id.in_(ids)).values(leased | {"leased_until": lease_now + seconds})
    columns = (jobs.c.id, jobs.c.kind, jobs.c.payload, jobs.c.attempts, jobs.c.cancel, jobs.c.progress)
    by_id = {row.id: Claimed(*row) for row in conn.execute(statement.returning(*columns))}
    return [by_id[each] for each in ids]


def renew(
    conn: Connection, runner: str, running: Mapping[tuple[int, int], str | None], *, seconds: float
) -> dict[tuple[int, int], bool]:
    """Prolong the leases of attempts (job, attempt) and store their progress.

    Returns those that the runner still holds, each with whether somebody asked for its end.
    """
    until = _now_of_database(conn) + seconds
    held = {}
    for (job, attempt), progress in running.items():
        statement = _held(runner, job, attempt).values({"leased_until": until, "progress": progress})
        row = conn.execute(statement.returning(jobs.c.cancel)).first()
        if row is not None:
            held[job, attempt] = bool(row.cancel)
    return held


def settle(conn: Connection, runner: str, settled: Settled, *, now: float) -> bool:
    """Report an attempt; False, and nothing is changed, when the runner does not hold it any more."""
    values: dict[str, Any] = {
        "state": settled.state,
        "run_at": settled.run_at,
        "progress": settled.progress,
        "error": settled.error and settled.error[:_LONGEST_ERROR],
        "ended_at": None if settled.state in _UNFINISHED else now,
        "leased_by": None,
        "leased_until": None,
    }
    return conn.execute(_held(runner, settled.id, settled.attempt).values(values)).rowcount == 1


def release(conn: Connection, runner: str, held: Collection[tuple[int, int]], *, now: float) -> None:
    """Give attempts back unfinished, as if they had not begun: the runner ends."""
    back = {"state": "queued", "run_at": now, "leased_by": None, "leased_until": None}
    for job, attempt in held:
        conn.execute(_held(runner, job, attempt).values(back | {"attempts": jobs.c.attempts - 1}))


def _held(runner: str, job: int, attempt: int) -> Any:
    held = (jobs.c.id == job, jobs.c.state == "running", jobs.c.leased_by == runner, jobs.c.attempts == attempt)
    return update(jobs).where(*held)


def cancel(conn: Connection, job: int, *, now: float) -> bool:
    """Ask for its end. One that waits is over at once, one that runs when its runner notices. False: it has ended."""
    waiting = update(jobs).where(jobs.c.id == job, jobs.c.state == "queued")
    if conn.execute(waiting.values(state="cancelled", cancel=True, ended_at=now)).rowcount:
        return True
    return (
        conn.execute(update(jobs).where(jobs.c.id == job, jobs.c.state == "running").values(cancel=True)).rowcount == 1
    )


def retry(conn: Connection, job: int, *, now: float) -> bool:
    """Queue a job again that is dead or cancelled, with all its attempts.

    False when it is neither, or another unfinished one has its key.
    """
    other = jobs.alias()
    taken = (
        select(other.c.id)
        .where(other.c.kind == jobs.c.kind, other.c.key == jobs.c.key, other.c.state.in_(_UNFINISHED))
        .exists()
    )
    statement = update(jobs).where(jobs.c.id == job, jobs.c.state.in_(("dead", "cancelled")), ~taken)
    again = {"state": "queued", "run_at": now, "attempts": 0, "cancel": False, "ended_at": None}
    return conn.execute(statement.values(again)).rowcount == 1


def find(conn: Connection, job: int) -> Row[Any] | None:
    """All columns of a job."""
    return conn.execute(select(jobs).where(jobs.c.id == job)).one_or_none()


def page(
    conn: Connection, *, kind: str | None, states: Collection[str], before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """The next jobs, the newest first; `before`: the id of the last one of the page before."""
    statement = select(jobs)
    if kind is not None:
        statement = statement.where(jobs.c.kind == kind)
    if states:
        statement = statement.where(jobs.c.state.in_(states))
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return conn.execute(statement.order_by(jobs.c.id.desc()).limit(limit)).all()


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """How many jobs there are, by kind and state."""
    found = conn.execute(select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state))
    return {(kind, state): number for kind, state, number in found}


def forget(conn: Connection, before: float, limit: int) -> int:
    """Delete at most `limit` jobs that ended before `before`; how many."""
    ids = select(jobs.c.id).where(jobs.c.ended_at < before).limit(limit)
    return conn.execute(delete(jobs).where(jobs.c.id.in_(ids))).rowcount


# --- Schedules ---


def ensure_schedules(conn: Connection, every: Mapping[str, float], *, now: float) -> None:
    """Keep exactly one schedule for each of these kinds (`every`: its seconds); new ones are due at once.

    One that lies further ahead than its interval is brought back: the clock was set back, or the interval was longer.
    """
    known = {row.kind: row.next_at for row in conn.execute(select(schedules))}
    if gone := known.keys() - every.keys():
        conn.execute(delete(schedules).where(schedules.c.kind.in_(sorted(gone))))
    for kind, seconds in every.items():
        if kind not in known:
            conn.execute(insert(schedules).values(kind=kind, next_at=now))
        elif known[kind] > now + seconds:
            conn.execute(update(schedules).where(schedules.c.kind == kind).values(next_at=now + seconds))


def schedules_due(conn: Connection, now: float) -> dict[str, float]:
    """The kinds whose schedule is due, and when it became so."""
    found = conn.execute(select(schedules.c.kind, schedules.c.next_at).where(schedules.c.next_at <= now))
    return {row.kind: row.next_at for row in found}


def move_schedule(conn: Connection, kind: str, *, was: float, to: float) -> bool:
    """Compare and set; False when somebody else did."""
    statement = update(schedules).where(schedules.c.kind == kind, schedules.c.next_at == was)
    return conn.execute(statement.values(next_at=to)).rowcount == 1
