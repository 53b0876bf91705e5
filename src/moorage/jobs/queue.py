"""The jobs of a deployment as people see them: listed, shown, canceled and tried again."""

from collections.abc import Callable, Collection
from typing import Final, get_args

import msgspec
from sqlalchemy import Connection

from moorage import metrics
from moorage.clock import Clock
from moorage.errors import MoorageError
from moorage.jobs.job import Job, Page
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.jobs import jobs as rows
from moorage.store.metadata.jobs.jobs import Backlog
from moorage.store.metadata.jobs.state import State

_STATES: Final = get_args(State)


class JobNotFound(MoorageError):
    """There is no job with that id."""

    code = "JobNotFoundException"
    status = 404

    def __init__(self, job: int) -> None:
        super().__init__(f"There is no job {job}. Finished jobs are deleted after a while (MOORAGE_JOB_SECONDS).")


class JobStateConflict(MoorageError):
    """The state of the job does not allow what was asked for."""

    code = "JobStateConflictException"
    status = 409


class JobQueue:
    """Shows and changes the jobs of a deployment."""

    def __init__(self, db: Database, clock: Clock, *, wake: Callable[[], None]) -> None:
        """`wake`: called when a job was queued."""
        self._db = db
        self._clock = clock
        self._wake = wake
        self._measured: set[str] = set()  # kinds whose gauges must go back to 0

    async def page(self, *, kind: str | None, states: Collection[State], before: int | None, limit: int) -> Page:
        """Return a page of the jobs of a kind (None: of all) in one of some states (none: in any).

        `limit`: MAX_PAGE at most; `before`: the id of the last job of the page before.
        """
        found = await self._db.read(
            lambda conn: rows.page(conn, kind=kind, states=states, before=before, limit=limit + 1)
        )
        following = str(found[limit - 1].id) if len(found) > limit else None
        return Page(jobs=[_shown(each) for each in found[:limit]], next=following)

    async def find(self, job: int) -> Job:
        """Return a job. Raises JobNotFound."""
        return _shown(await self._row(job))

    async def cancel(self, job: int) -> Job:
        """Cancel a job: at once, or if it runs, after its next step. Raises JobNotFound, JobStateConflict."""
        if not await self._db.transaction(lambda conn: rows.cancel(conn, job, now=self._clock.now()), by_row=True):
            state = (await self._row(job)).state
            raise JobStateConflict(f"Job {job} is {state}: only a queued or running job can be canceled.")
        return await self.find(job)

    async def retry(self, job: int) -> Job:
        """Queue a dead or canceled job again, with all its attempts. Raises JobNotFound, JobStateConflict."""
        if not await self._db.transaction(lambda conn: rows.retry(conn, job, now=self._clock.now()), by_row=True):
            found = await self._row(job)
            if found.state in ("dead", "canceled"):
                raise JobStateConflict(f"Another {found.kind} job is queued or running in place of job {job}.")
            raise JobStateConflict(f"Job {job} is {found.state}: only a dead or canceled job can be tried again.")
        self._wake()
        return await self.find(job)

    async def measure(self) -> None:
        """Set the metrics of the jobs that there are."""

        def work(conn: Connection) -> tuple[dict[tuple[str, str], int], Backlog]:
            now = rows.now_of_database(conn) + self._clock.offset
            return rows.counts(conn), rows.backlog(conn, now=now)

        counts, backlog = await self._db.read(work)
        self._measured |= {kind for kind, _ in counts}
        for kind in self._measured:
            for state in _STATES:
                metrics.JOBS.labels(kind, state).set(counts.get((kind, state), 0))
        metrics.JOBS_WAITING_SECONDS.set(backlog.oldest)

    async def _row(self, job: int) -> rows.Job:
        found = await self._db.read(lambda conn: rows.find(conn, job))
        if found is None:
            raise JobNotFound(job)
        return found


def _shown(row: rows.Job) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        key=row.key,
        payload=msgspec.json.decode(row.payload),
        state=row.state,
        priority=row.priority,
        created_at=row.created_at,
        run_at=row.run_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        attempts=row.attempts,
        cancel_requested=row.cancel,
        progress=None if row.progress is None else msgspec.json.decode(row.progress),
        error=row.error,
    )
