"""Maintenance of the registry: deletes expired uploads, trash, unused layers and blobs, leftover files and histories.

Background jobs call these methods (`moorage.jobs.maintenance`). Each yields the number of rows or files that a step
changed, and can be stopped between two steps and called again. Several processes may run the same one at a time. Ages
are measured in the time that the deployment has observed (`moorage.store.elapsed`), so a wrong clock deletes nothing.
"""

from collections.abc import AsyncIterator

from moorage.clock import Clock
from moorage.registry.layers.collection import detach_unused_layers, free_orphans, mark_orphans
from moorage.registry.layers.leftovers import LEFTOVER_SECONDS, delete_leftovers
from moorage.registry.layers.upload_expiry import expire_uploads
from moorage.registry.retention import drop_unused_documents, mark_unused_documents, trim_histories
from moorage.registry.trash.expiry import destroy_expired_images, destroy_expired_repositories, destroy_surplus_images
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers.layers import Times


class RegistryMaintenance:
    """The maintenance of all registries of a deployment."""

    def __init__(self, db: Database, blobs: BlobStore, elapsed: ElapsedTime, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._elapsed = elapsed
        self._clock = clock
        self._settings = settings

    async def expire_uploads(self) -> AsyncIterator[int]:
        """Cancel uploads that have not grown for too long, and those of deleted repositories."""
        observed = await self._elapsed.observe()
        seconds = self._settings.upload_seconds
        # Uploads of repositories that were deleted earlier have expired themselves.
        rested, deleted = observed.expired_before(seconds), observed.expired_before(2 * seconds)
        async for number in expire_uploads(self._db, self._blobs, rested_since=rested, deleted_since=deleted):
            yield number

    async def empty_trash(self) -> AsyncIterator[int]:
        """Destroy images and repositories whose retention is over, and repositories beyond the bound of a registry."""
        before = (await self._elapsed.observe()).expired_before(self._settings.trash_seconds)
        now, most = self._clock.now(), self._settings.trashed_repositories_per_registry
        async for number in destroy_expired_images(self._db, before=before, now=now):
            yield number
        async for number in destroy_expired_repositories(self._db, before=before, most=most, now=now):
            yield number

    async def trim_trash(self) -> AsyncIterator[int]:
        """Destroy the deleted images of repositories that have too many."""
        most = self._settings.trashed_images_per_repository
        async for number in destroy_surplus_images(self._db, most=most, now=self._clock.now()):
            yield number

    async def trim_histories(self) -> AsyncIterator[int]:
        """Delete the history of tags, policies and identities from before any decision that is still recorded."""
        async for number in trim_histories(self._db, before=await self._before_records()):
            yield number

    async def mark_documents(self) -> AsyncIterator[int]:
        """Mark the policy documents that nothing refers to."""
        async for number in mark_unused_documents(self._db, now=self._clock.now()):
            yield number

    async def delete_documents(self) -> AsyncIterator[int]:
        """Delete unused policy documents that no recorded decision can have been based on."""
        before, most = await self._before_records(), self._settings.unused_documents
        async for number in drop_unused_documents(self._db, before=before, most=most):
            yield number

    async def detach_layers(self) -> AsyncIterator[int]:
        """Detach layers that no image uses from their repositories. Call it twice in a grace period."""
        observed, grace = await self._elapsed.observe(), self._settings.blob_grace_seconds
        times = Times(expired=observed.expired_before(grace), old=observed.expired_before(grace / 4))
        async for number in detach_unused_layers(self._db, times, now=self._clock.now()):
            yield number

    async def mark_blobs(self) -> AsyncIterator[int]:
        """Mark the blobs that no repository has."""
        async for number in mark_orphans(self._db, now=self._clock.now()):
            yield number

    async def free_blobs(self) -> AsyncIterator[int]:
        """Delete blobs that no repository has had for the grace period."""
        before = (await self._elapsed.observe()).expired_before(self._settings.blob_grace_seconds)
        async for number in free_orphans(self._db, self._blobs, before=before):
            yield number

    async def delete_leftovers(self) -> AsyncIterator[int]:
        """Delete files that no row refers to."""
        before = (await self._elapsed.observe()).before(LEFTOVER_SECONDS)
        async for number in delete_leftovers(self._db, self._blobs, before=before, now=self._clock.now()):
            yield number

    async def _before_records(self) -> float:
        """Return a time before every recorded decision and every deletion that can be restored."""
        longest = max(self._settings.audit_seconds, self._settings.trash_seconds)
        return (await self._elapsed.observe()).expired_before(longest)
