"""Runs jobs in this process: claims and renews leases, settles and retries attempts, and queues what is due.

Every worker of every node has one. They share the work through the database, and the jobs of one that dies are taken
over by the others when its leases have expired.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Connection

from moorage import metrics
from moorage.clock import Clock
from moorage.jobs.kind import Attempt, JobCanceled, JobFailed, Kind, Queue, backoff
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.jobs import jobs as rows
from moorage.store.metadata.jobs import schedules
from moorage.store.metadata.jobs.state import State

LEASE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
"""How long a job may wait that another process queued."""
PLACES: Final = 4
"""Jobs of the queue `work` that one runner runs at a time."""
MAX_PAUSE: Final = 15.0
"""Seconds between two attempts to claim jobs while the database cannot be used."""
STOP_SECONDS: Final = 5.0
"""How long a runner that stops waits for its jobs to end."""
SCHEDULED: Final = "scheduled"
"""Key of scheduled jobs: a kind has one of them at a time."""

_log = structlog.get_logger(__name__)


class _Looked(NamedTuple):
    """What a look at the tables found."""

    due: dict[str, float]
    """The kinds whose schedule is due, and since when."""
    is_due: bool
    """Whether a job waits for which there is a place."""
    is_astray: bool
    """Whether a schedule is missing or too far ahead."""


class Runner:
    """Runs the jobs of some kinds until it is stopped.

    Its own transactions need not be durable: if the machine dies, a job runs again, which handlers must bear.
    """

    def __init__(
        self,
        db: Database,
        kinds: Iterable[Kind[Any]],
        clock: Clock,
        *,
        places: int = PLACES,
        lease: float = LEASE_SECONDS,
    ) -> None:
        """`lease`: seconds; it is renewed three times within them."""
        self.name: Final = str(uuid.uuid4())
        self._db = db
        self._kinds: Final = {kind.name: kind for kind in kinds}
        self._schedules: Final = {kind.name: kind.schedule for kind in self._kinds.values() if kind.schedule}
        self._clock = clock
        self._places = places
        self._lease = lease
        self._running: dict[tuple[int, int], tuple[Attempt, asyncio.Task[None], Queue]] = {}
        self._ended: list[rows.Settled] = []
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start to run jobs. The schedules of the kinds are in the database when it returns, if it can be written."""
        try:
            await self._db.transaction(self._ensure_schedules, by_row=True, frees=True)
        except Exception as error:  # noqa: BLE001 - a full disk must not keep the server from serving; see `_look`
            _log.error("schedules of jobs could not be written", error=str(error))
        self._tasks = [asyncio.create_task(self._claim_forever()), asyncio.create_task(self._renew_forever())]

    async def stop(self) -> None:
        """Stop. Running jobs have STOP_SECONDS to end; the leases of the others are released."""
        for each in self._tasks:
            each.cancel()
        for each in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await each
        for attempt, _, _ in self._running.values():
            attempt.stop()
        tasks = [task for _, task, _ in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ended, self._ended = self._ended, []

        def give_back(conn: Connection) -> None:
            now = self._now(conn)
            for each in ended:
                rows.settle(conn, self.name, each, now=now)
            rows.release(conn, self.name, now=now)

        try:
            await self._db.transaction(give_back, by_row=True, frees=True)
        except Exception as error:  # noqa: BLE001 - the rest of the server must still stop; the leases expire
            _log.error("leases of jobs could not be released", error=str(error))

    def wake(self) -> None:
        """Look for jobs now: this process has queued one."""
        self._woken.set()

    def _now(self, conn: Connection) -> float:
        """Return the database's time, which all runners share, shifted as dev mode has set the clock."""
        return rows.now_of_database(conn) + self._clock.offset

    async def _claim_forever(self) -> None:
        failures = 0
        while True:
            try:
                await self._turn()
                failures = 0
            except Exception as error:  # noqa: BLE001 - a database that cannot be reached must not end the runner
                failures += 1
                _log.error("jobs could not be claimed", error=f"{type(error).__name__}: {error}", failures=failures)
                await asyncio.sleep(min(2**failures, MAX_PAUSE))
            # Not `wait_for`: Python 3.11's loses a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _turn(self) -> None:
        """Settle the attempts that ended, queue what is due, and start as many jobs as there are places."""
        free = self._free()
        looked = await self._db.read(lambda conn: self._look(conn, free))
        if not (looked.due or looked.is_due or looked.is_astray or self._ended):
            return
        ended, self._ended = self._ended, []

        def work(conn: Connection) -> list[rows.Claimed]:
            now = self._now(conn)
            for each in ended:
                rows.settle(conn, self.name, each, now=now)
            if looked.is_astray:
                self._ensure_schedules(conn)
            for kind, was in looked.due.items():
                if schedules.move(conn, kind, was=was, to=now + self._schedules[kind].every):
                    rows.enqueue(conn, kind, "{}", now=now, key=SCHEDULED)
            claimed: list[rows.Claimed] = []
            for names, places in free:
                claimed += rows.claim(conn, self.name, names, places, now=now, seconds=self._lease)
            return claimed

        try:
            claimed = await self._db.transaction(work, durable=False, by_row=True, frees=True)
        except BaseException:
            self._ended = ended + self._ended
            raise
        for each in claimed:
            self._begin(each)

    def _free(self) -> list[tuple[list[str], int]]:
        """Return the names of the kinds of each queue that has free places, with their number."""
        taken = Counter(queue for _, _, queue in self._running.values())
        places: Mapping[Queue, int] = {"work": self._places, "maintenance": 1}
        return [
            ([name for name, kind in self._kinds.items() if kind.queue == queue], number - taken[queue])
            for queue, number in places.items()
            if number > taken[queue]
        ]

    def _look(self, conn: Connection, free: list[tuple[list[str], int]]) -> _Looked:
        now = self._now(conn)
        next_at = schedules.all_of(conn)
        known = {kind: at for kind, at in next_at.items() if kind in self._schedules}
        is_astray = len(known) < len(self._schedules) or any(
            at > now + max(self._schedules[kind].every, self._schedules[kind].first_after) for kind, at in known.items()
        )
        due = {kind: at for kind, at in known.items() if at <= now}
        return _Looked(
            {kind: at for kind, at in due.items() if (only := self._schedules[kind].only_if) is None or only(conn)},
            any(rows.due(conn, names, now) for names, _ in free),
            is_astray,
        )

    def _ensure_schedules(self, conn: Connection) -> None:
        schedules.ensure(conn, self._schedules, now=self._now(conn))

    def _begin(self, job: rows.Claimed) -> None:
        attempt = Attempt(job.id, job.attempt, job.progress)
        if job.cancel:
            attempt.cancel()
        task = asyncio.create_task(self._run(job, attempt))
        self._running[job.id, job.attempt] = (attempt, task, self._kinds[job.kind].queue)

    async def _run(self, job: rows.Claimed, attempt: Attempt) -> None:
        kind = self._kinds[job.kind]
        state: State = "done"
        error: str | None = None
        delay = 0.0
        began = time.monotonic()
        try:
            if attempt.is_canceled:
                raise JobCanceled
            if job.attempt > kind.attempts:
                raise JobFailed("its runner died each time")
            await kind.handle(attempt, job.payload)
        except JobCanceled:
            if not attempt.is_canceled:
                return  # `stop` releases its lease
            state = "canceled"
        except JobFailed as failure:
            state, error = "dead", str(failure)
            _log.error("a job is dead", job=job.id, kind=job.kind, attempt=attempt.number, error=error)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the job is tried again, and a person can read it
            error = f"{type(failure).__name__}: {failure}"
            state = "queued" if job.attempt < kind.attempts else "dead"
            delay = backoff(job.attempt) * random.uniform(0.75, 1.25)  # noqa: S311 - only spreads retries
            _log.warning("a job failed", job=job.id, kind=job.kind, attempt=attempt.number, exc_info=failure)
        if self._running.pop((job.id, job.attempt), None) is not None:  # else the lease is lost
            metrics.JOB_SECONDS.labels(job.kind).observe(time.monotonic() - began)
            metrics.JOB_ATTEMPTS.labels(job.kind, "failed" if state == "queued" else state).inc()
            self._ended.append(rows.Settled(job.id, job.attempt, state, delay, attempt.stored, error))
            self.wake()

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001 - the leases expire, and other runners take the jobs over
                _log.error("leases of jobs could not be renewed", error=f"{type(error).__name__}: {error}")

    async def _renew(self) -> None:
        held = {key: attempt.stored for key, (attempt, _, _) in self._running.items()}
        if not held:
            return

        def work(conn: Connection) -> dict[tuple[int, int], bool]:
            return rows.renew(conn, self.name, held, seconds=self._lease)

        kept = await self._db.transaction(work, durable=False, by_row=True, frees=True)
        for key in held:
            if key not in self._running:
                continue
            attempt, task, _ = self._running[key]
            if key not in kept:
                _log.warning("a job was taken over by another runner", job=attempt.job, attempt=attempt.number)
                del self._running[key]
                task.cancel()
            elif kept[key]:
                attempt.cancel()
