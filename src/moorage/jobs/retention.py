"""Finished jobs are deleted after a while (`MOORAGE_JOB_SECONDS`). Dead ones are kept, up to a bound."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from sqlalchemy import Connection

from moorage.jobs.runner import SCHEDULED
from moorage.settings import Settings
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.jobs import jobs
from moorage.store.metadata.jobs.state import State

MOST_OF_STATE: Final = 1_000
"""The most jobs of a kind that are kept in each finished state; the oldest are deleted."""
MOST_SCHEDULED: Final = 10
"""The most done jobs of a kind that are kept if its schedule queued them."""
_FINISHED: Final[tuple[State, ...]] = ("done", "canceled", "dead")
_BATCH: Final = 500


class JobMaintenance:
    """Deletes finished jobs. What is too old goes by the time that really passed."""

    def __init__(self, db: Database, elapsed: ElapsedTime, settings: Settings) -> None:
        self._db = db
        self._elapsed = elapsed
        self._settings = settings

    async def delete_finished(self) -> AsyncIterator[int]:
        """Delete jobs that were done or canceled too long ago, and finished ones that are too many."""
        before = (await self._elapsed.observe()).expired_before(self._settings.job_seconds)
        while deleted := await self._delete(lambda conn: jobs.delete_finished(conn, before, _BATCH)):
            yield deleted
        kinds = sorted({kind for kind, _ in await self._db.read(jobs.counts)})
        for kind in kinds:
            while deleted := await self._delete_surplus(kind, "done", SCHEDULED, MOST_SCHEDULED):
                yield deleted
            for state in _FINISHED:
                while deleted := await self._delete_surplus(kind, state, None, MOST_OF_STATE):
                    yield deleted

    async def _delete_surplus(self, kind: str, state: State, key: str | None, most: int) -> int:
        return await self._delete(lambda conn: jobs.delete_surplus(conn, kind, state, key=key, most=most, limit=_BATCH))

    async def _delete(self, work: Callable[[Connection], int]) -> int:
        return await self._db.transaction(work, durable=False, long=True, by_row=True, frees=True)
