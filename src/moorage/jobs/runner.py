"""Runs jobs in this process: claims, renews, settles, tries again, and queues what is due.

Each worker of each node has one. They share the work through the database, and a runner that dies loses its jobs to the
others when its leases have run out.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.jobs.kind import Attempt, JobCancelled, JobFailed, Kind, backoff
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.jobs import jobs as rows

LEASE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
"""How long a job may wait that another process queued."""
PLACES: Final = 4
"""Jobs that one runner runs at a time."""
STOP_SECONDS: Final = 5.0
"""How long a runner that stops waits for its jobs to end."""

_log = structlog.get_logger(__name__)


class Runner:
    """Runs the jobs of some kinds until it is stopped."""

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
        self._clock = clock
        self._places = places
        self._lease = lease
        self._running: dict[tuple[int, int], tuple[Attempt, asyncio.Task[None]]] = {}
        self._ended: list[rows.Settled] = []
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin. The schedules of the kinds are in the database when it returns."""
        every = {kind.name: kind.every for kind in self._kinds.values() if kind.every is not None}

        def ensure(conn: Connection) -> None:
            rows.ensure_schedules(conn, every, now=self._clock.now())

        await self._db.transaction(ensure)
        self._tasks = [asyncio.create_task(self._claim_on()), asyncio.create_task(self._renew_on())]

    async def stop(self) -> None:
        """End: jobs under way are asked to stop, and given back when they do not."""
        for each in self._tasks:
            each.cancel()
        for each in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await each
        for attempt, _ in self._running.values():
            attempt.stop()
        if self._running:
            await asyncio.wait([task for _, task in self._running.values()], timeout=STOP_SECONDS)
        for _, task in self._running.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)
        ended, self._ended = self._ended, []
        held = list(self._running)

        def give_back(conn: Connection) -> None:
            now = self._clock.now()
            for each in ended:
                rows.settle(conn, self.name, each, now=now)
            rows.release(conn, self.name, held, now=now)

        await self._db.transaction(give_back)

    def wake(self) -> None:
        """Look for jobs now: this process has queued one."""
        self._woken.set()

    async def _claim_on(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001 - a database that cannot be reached must not end the runner
                _log.error("jobs could not be claimed", exc_info=error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            self._woken.clear()

    async def _turn(self) -> None:
        """Settle what has ended, queue what is due, and begin as many jobs as there are places."""
        names, free = list(self._kinds), self._places - len(self._running)

        def look(conn: Connection) -> tuple[dict[str, float], bool]:
            now = self._clock.now()
            return rows.schedules_due(conn, now), free > 0 and rows.due(conn, names, now)

        scheduled, due = await self._db.read(look)
        scheduled = {kind: at for kind, at in scheduled.items() if kind in self._kinds}
        if not scheduled and not due and not self._ended:
            return
        ended, self._ended = self._ended, []

        def work(conn: Connection) -> list[rows.Claimed]:
            now = self._clock.now()
            for each in ended:
                rows.settle(conn, self.name, each, now=now)
            for kind, was in scheduled.items():
                every = self._kinds[kind].every
                if every is not None and rows.move_schedule(conn, kind, was=was, to=now + every):
                    rows.enqueue(conn, kind, "{}", now=now, key="scheduled")
            return rows.claim(conn, self.name, names, free, now=now, seconds=self._lease) if free > 0 else []

        try:
            claimed = await self._db.transaction(work, by_row=True)
        except BaseException:
            self._ended = ended + self._ended
            raise
        for each in claimed:
            self._begin(each)

    def _begin(self, job: rows.Claimed) -> None:
        attempt = Attempt(job.id, job.attempt, None if job.progress is None else msgspec.json.decode(job.progress))
        if job.cancel:
            attempt.cancel()
        self._running[job.id, job.attempt] = (attempt, asyncio.create_task(self._run(job, attempt)))

    async def _run(self, job: rows.Claimed, attempt: Attempt) -> None:
        kind = self._kinds[job.kind]
        state: rows.State = "done"
        error: str | None = None
        run_at = now = self._clock.now()
        try:
            if attempt.is_cancelled:
                raise JobCancelled
            if job.attempt > kind.attempts:
                raise JobFailed("its runner died each time")
            await kind.handle(attempt, job.payload)
        except JobCancelled:
            if not attempt.is_cancelled:
                return  # it is still among those that run, which `stop` gives back
            state = "cancelled"
        except JobFailed as failure:
            state, error = "dead", str(failure)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the job is tried again, and a person can read it
            error = f"{type(failure).__name__}: {failure}"
            state = "queued" if job.attempt < kind.attempts else "dead"
            run_at = now + backoff(job.attempt) * random.uniform(0.75, 1.25)  # noqa: S311 - only spreads retries
            _log.warning("a job failed", job=job.id, kind=job.kind, attempt=job.attempt, exc_info=failure)
        progress = _stored(attempt.progress)
        if self._running.pop((job.id, job.attempt), None) is not None:  # else the lease is lost
            self._ended.append(rows.Settled(job.id, job.attempt, state, run_at, progress, error))
            self.wake()

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001 - the leases run out, which others notice
                _log.error("leases of jobs could not be renewed", exc_info=error)

    async def _renew(self) -> None:
        held = {key: _stored(attempt.progress) for key, (attempt, _) in self._running.items()}
        if not held:
            return

        def work(conn: Connection) -> dict[tuple[int, int], bool]:
            return rows.renew(conn, self.name, held, seconds=self._lease)

        kept = await self._db.transaction(work, by_row=True)
        for key in held:
            if key not in self._running:
                continue
            attempt, task = self._running[key]
            if key not in kept:
                _log.warning("a job was taken over by another runner", job=attempt.job, attempt=attempt.number)
                del self._running[key]
                task.cancel()
            elif kept[key]:
                attempt.cancel()


def _stored(progress: Any) -> str | None:
    return None if progress is None else msgspec.json.encode(progress).decode()
