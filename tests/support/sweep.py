"""Every kind of maintenance job, run in turn by the test."""

from typing import Any, cast

from moorage.audit.retention import AuditMaintenance
from moorage.clock import Clock
from moorage.events.delivery import Delivery
from moorage.identity.maintenance import IdentityMaintenance
from moorage.jobs.kind import Attempt, Kind
from moorage.jobs.maintenance import maintenance_kinds
from moorage.jobs.retention import JobMaintenance
from moorage.registry.images.service import Images
from moorage.registry.maintenance import RegistryMaintenance
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.database import Database


class _NoAudit:
    """Tests of the sweep have no audit record."""

    async def delete_older(self, _before: float) -> int:
        return 0


class Sweep:
    """The jobs of one process, with an `ElapsedTime` of its own."""

    def __init__(self, db: Database, blobs: BlobStore, images: Images, clock: Clock, settings: Settings) -> None:
        self._images = images
        self._clock = clock
        self._seldom = settings.blob_grace_seconds / 2
        self._searched_at: float | None = None
        self._settings = settings
        self.elapsed = ElapsedTime(db, clock, settings)
        self.kinds = kinds_of(db, blobs, self.elapsed, clock, settings)

    def is_search_due(self) -> bool:
        """Whether those that look through everything are due again."""
        return self._searched_at is None or self._clock.elapsed() - self._searched_at >= self._seldom

    async def run_once(self, *, search: bool = True) -> None:
        """Run each kind once; without `search` only those that are due each minute."""
        await self._images.flush_pulls()
        if search:
            self._searched_at = self._clock.elapsed()
        for kind in self.kinds:
            assert kind.schedule is not None
            if search or kind.schedule.every <= self._settings.sweep_interval_seconds:
                await run(kind)


def kinds_of(
    db: Database,
    blobs: BlobStore,
    elapsed: ElapsedTime,
    clock: Clock,
    settings: Settings,
    audit: AuditStore | None = None,
) -> list[Kind[Any]]:
    """The kinds over a database, as the application makes them."""
    return maintenance_kinds(
        RegistryMaintenance(db, blobs, elapsed, clock, settings),
        IdentityMaintenance(db, elapsed, settings),
        AuditMaintenance(audit or cast("AuditStore", _NoAudit()), elapsed, settings),
        Delivery(db, elapsed, settings),
        JobMaintenance(db, elapsed, settings),
        settings,
    )


async def run(kind: Kind[Any]) -> None:
    """Run a job of that kind, outside the table of jobs."""
    await kind.run(Attempt(0, 1), kind.payload())
