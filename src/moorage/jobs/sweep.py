"""The sweep: ends what is past its time, while serving. Any number of workers may sweep at once.

Everything is looked up first and checked again in the transaction that removes it, so a push at that moment wins or
finds it gone, never half of it. Rows go first, bytes after: what a crash leaves between is a leftover.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.jobs.elapsed import ElapsedTime, Observed
from moorage.registry.images.service import Images
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore, Leftover
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.deployment import expiry
from moorage.store.metadata.identity import pull_tokens
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.layers import uploads as upload_rows
from moorage.store.metadata.policies import documents, history
from moorage.store.reserve import Reserve

T = TypeVar("T")

BATCH = 500
"""Rows looked at or removed at a time: a few milliseconds."""
DOCUMENTS = 100
"""Policy documents looked at or removed at a time: each is looked for in ten indexes."""
EXPIRED_SESSION_SECONDS = 86_400.0
"""How long an expired session is kept, so that it is told from one that never was."""
LEFTOVER_SECONDS = 3600.0
"""How long bytes without a row rest before they are deleted, whatever the settings: their push may be under way."""

_log = structlog.get_logger(__name__)


class _Suspect(NamedTuple):
    """A leftover that no row knows: perhaps the bytes of a push whose row is still to come."""

    since: float  # by `Clock.elapsed`
    modified_at: float  # by the machine's clock; when it changes, somebody is writing


class Sweep:
    """Expired uploads, old trash, unused layers, orphan blobs, leftovers, expired sessions, old events, documents."""

    def __init__(self, db: Database, blobs: BlobStore, images: Images, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._images = images
        self._clock = clock
        self._settings = settings
        self._suspects: dict[tuple[str, str], _Suspect] = {}
        self._searched_at: float | None = None
        longest = max(
            settings.trash_seconds,
            settings.audit_seconds,
            settings.outbox_seconds,
            settings.blob_grace_seconds,
            2 * settings.upload_seconds,
            EXPIRED_SESSION_SECONDS,
        )
        self.elapsed: Final = ElapsedTime(db, clock, longest)
        """For others, too, who delete what is past its time."""
        self._observed = Observed(0.0, [])
        self._reserve = Reserve(settings.data)

    async def run_forever(self) -> None:
        """Sweep at intervals until canceled, and keep the reserve on the disk. A failed sweep is logged."""
        while True:
            await asyncio.sleep(self._settings.sweep_interval_seconds)
            try:
                await self.run_once(search=self._search_is_due())
            except Exception as error:  # noqa: BLE001 - whatever broke this sweep must not end all later ones
                _log.error("the sweep failed", exc_info=error)
            try:
                await asyncio.to_thread(self._reserve.refill)
            except OSError as error:
                _log.error("no room could be reserved on the disk", exc_info=error)

    async def run_once(self, *, search: bool = True) -> None:
        """Sweep once. With `search` also look through every layer, blob and file for what nobody uses.

        Every step is tried, so that one that fails does not keep the others from making room. Raises an ExceptionGroup
        of what failed.
        """
        self._observed = await self.elapsed.observe()
        steps = [
            self._images.flush_pulls,
            self._end_uploads,
            self._destroy_trash,
            self._end_sessions,
            self._forget_tokens,
            self._drop_events,
        ]
        if search:
            self._searched_at = self._clock.elapsed()
            steps += [
                self._destroy_surplus_images,
                self._drop_histories,
                self._mark_documents,
                self._detach_unused_layers,
                self._mark_orphans,
            ]
        steps += [self._drop_documents, self._free_orphans]
        if search:
            steps.append(self._delete_leftovers)
        failures: list[Exception] = []
        for step in steps:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - raised when the other steps are done
                failures.append(error)
        if failures:
            raise ExceptionGroup("steps of the sweep failed", failures)

    async def _transaction(self, work: Callable[[Connection], T], *, by_row: bool = False) -> T:
        """Run `work`, which deletes, or leads to deleting: on a full disk it may use the reserved room."""
        return await self._db.transaction(work, long=True, by_row=by_row, frees=True)

    def _search_is_due(self) -> bool:
        if self._searched_at is None:
            return True
        return self._clock.elapsed() - self._searched_at >= self._settings.blob_grace_seconds / 2

    def _before(self, seconds: float) -> float:
        # Zero marks what goes with the next sweep, however little time has passed.
        return max(self._observed.before(seconds), 1.0)

    async def _end_uploads(self) -> None:
        before = self._before(self._settings.upload_seconds)
        for account in await self._db.read(lambda conn: upload_rows.accounts_with_finished(conn, BATCH)):

            def count_out(conn: Connection, account: str = account) -> None:
                upload_rows.count_out(conn, account)

            await self._transaction(count_out, by_row=True)
        # Others of such repositories have rested for long enough.
        since = self._before(2 * self._settings.upload_seconds)
        while ids := await self._db.read(lambda conn: upload_rows.of_deleted_repositories(conn, since, BATCH)):

            def end(conn: Connection, ids: list[str] = ids) -> None:
                for upload_id in ids:
                    upload_rows.end(conn, upload_id)

            await self._transaction(end, by_row=True)
            for upload_id in ids:
                await self._blobs.abort(upload_id)
        while ids := await self._db.read(lambda conn: upload_rows.rested(conn, before, BATCH)):

            def work(conn: Connection, ids: list[str] = ids) -> list[str]:
                return [upload_id for upload_id in ids if upload_rows.end_rested(conn, upload_id, before)]

            for upload_id in await self._transaction(work, by_row=True):
                await self._blobs.abort(upload_id)

    async def _destroy_trash(self) -> None:
        now = self._clock.now()
        before = self._before(self._settings.trash_seconds)
        while manifests := await self._db.read(lambda conn: image_rows.expired(conn, before, BATCH)):

            def destroy(conn: Connection, manifests: list[int] = manifests) -> None:
                layer_rows.renew_of_manifests(conn, manifests, now)
                image_rows.destroy_expired(conn, manifests, before)

            await self._transaction(destroy)
        while ids := await self._db.read(lambda conn: expiry.expired_repositories(conn, before, 1)):

            def destroy_all(conn: Connection, ids: list[int] = ids) -> None:
                expiry.destroy_expired_repositories(conn, ids, before)

            await self._transaction(destroy_all)

        most = self._settings.trashed_repositories_per_registry
        while ids := await self._db.read(lambda conn: expiry.surplus_repositories(conn, most, 1)):

            def destroy_surplus(conn: Connection, ids: list[int] = ids) -> None:
                expiry.destroy_expired_repositories(conn, ids, now + 1)

            await self._transaction(destroy_surplus)

    async def _destroy_surplus_images(self) -> None:
        """Deleted images beyond those that a repository may have: the ones deleted first."""
        most = self._settings.trashed_images_per_repository
        after = 0
        while (repository_id := await self._next_with_trash(after)) is not None:
            after = repository_id
            while surplus := await self._surplus_images(repository_id, most):
                await self._destroy_images(surplus)
            await asyncio.sleep(0)

    async def _next_with_trash(self, after: int) -> int | None:
        return await self._db.read(lambda conn: image_rows.next_with_trash(conn, after))

    async def _surplus_images(self, repository_id: int, most: int) -> list[tuple[int, float]]:
        return await self._db.read(lambda conn: image_rows.surplus(conn, repository_id, most, BATCH))

    async def _destroy_images(self, deleted: list[tuple[int, float]]) -> None:
        """Destroy deleted images, given with their times of deletion, unless they were restored meanwhile."""
        manifests = [manifest_id for manifest_id, _ in deleted]
        before = math.nextafter(max(at for _, at in deleted), math.inf)

        def work(conn: Connection) -> None:
            layer_rows.renew_of_manifests(conn, manifests, self._clock.now())
            image_rows.destroy_expired(conn, manifests, before)

        await self._transaction(work)

    async def _end_sessions(self) -> None:
        before = self._before(EXPIRED_SESSION_SECONDS)
        while await self._db.read(lambda conn: expiry.has_expired_sessions(conn, before)):
            await self._transaction(lambda conn: expiry.end_expired_sessions(conn, before, BATCH))

    async def _forget_tokens(self) -> None:
        """Pull tokens that ended as long ago as trash is kept; nobody can use them any more."""
        before = self._before(self._settings.trash_seconds)
        while ids := await self._db.read(lambda conn: pull_tokens.ended(conn, before, BATCH)):

            def work(conn: Connection, ids: list[str] = ids) -> None:
                pull_tokens.forget(conn, ids)

            await self._transaction(work)

    async def _drop_events(self) -> None:
        before, most = self._before(self._settings.outbox_seconds), self._settings.outbox_events
        while ids := await self._db.read(lambda conn: expiry.old_events(conn, before, most, BATCH)):

            def work(conn: Connection, ids: list[int] = ids) -> None:
                expiry.drop_events(conn, ids)

            await self._transaction(work)

    async def _drop_histories(self) -> None:
        """What tags, policies and identities were, once that is longer ago than audit records and trash are kept."""
        before = self._before_record()
        ids = await self._db.read(history.ids)
        for each in history.HISTORIES:
            oldest = await self._oldest_kept(each, *ids.get(each.table.name, (0, 0)))
            after = 0
            while page := await self._page_of_history(each, after, before, oldest):
                after = page[-1][0]
                superseded = [row_id for row_id, superseded in page if superseded]
                if superseded:
                    await self._drop_history(each, superseded)
                await asyncio.sleep(0)

    async def _oldest_kept(self, of: history.History, lowest: int, highest: int) -> dict[str, int]:
        """Of each account that has more rows than it may, the id of the oldest that it keeps.

        `lowest`, `highest`: the ids in the table. Found from the newest row on, so that others who delete the oldest
        ones at the same time make no difference.
        """
        counted: Counter[str] = Counter()
        oldest: dict[str, int] = {}
        below = highest + 1
        while below - lowest > history.MOST or counted:
            rows = await self._owners(of, below)
            if not rows:
                break
            for row_id, account in rows:
                counted[account] += 1
                if counted[account] == history.MOST:
                    oldest[account] = row_id
            below = rows[-1][0]
            await asyncio.sleep(0)
        return oldest

    async def _owners(self, of: history.History, below: int) -> list[tuple[int, str]]:
        return await self._db.read(lambda conn: history.owners(conn, of, below, BATCH))

    async def _page_of_history(
        self, of: history.History, after: int, before: float, oldest: dict[str, int]
    ) -> list[tuple[int, bool]]:
        return await self._db.read(lambda conn: history.page(conn, of, after, before, oldest, BATCH))

    async def _drop_history(self, of: history.History, ids: list[int]) -> None:
        await self._transaction(lambda conn: history.drop(conn, of, ids))

    def _before_record(self) -> float:
        """The time before which no decision that is recorded, and nothing in the trash, is."""
        return self._before(max(self._settings.audit_seconds, self._settings.trash_seconds))

    async def _mark_documents(self) -> None:
        """Policy documents that nothing refers to."""
        after = ""
        while page := await self._page_of_documents(after):
            after = page[-1][0]
            unused = [name for name, is_unused in page if is_unused]
            if unused:

                def work(conn: Connection, unused: list[str] = unused) -> None:
                    documents.mark(conn, unused, self._clock.now())

                await self._transaction(work)
            await asyncio.sleep(0)

    async def _page_of_documents(self, after: str) -> list[tuple[str, bool]]:
        return await self._db.read(lambda conn: documents.page(conn, after, DOCUMENTS))

    async def _drop_documents(self) -> None:
        """Documents unused for as long as records of decisions are kept, and the oldest unused ones of too many."""
        before, most = self._before_record(), self._settings.unused_documents
        while names := await self._db.read(lambda conn: documents.due(conn, before, most, DOCUMENTS)):

            def work(conn: Connection, names: list[str] = names) -> None:
                documents.drop(conn, names)

            await self._transaction(work)

    async def _detach_unused_layers(self) -> None:
        """End memberships that no manifest, living or in the trash, has used for the period of grace.

        A push may take longer than that. While something is added to an upload of the repository, its layers that wait
        for their manifest are renewed before they expire: searches are half a period apart.
        """
        grace = self._settings.blob_grace_seconds
        times = layer_rows.Times(expired=self._before(grace), old=self._before(grace / 4))
        after = (0, "")
        while page := await self._page_of_layers(after, times):
            after = page[-1][:2]
            unused = [(repository_id, digest) for repository_id, digest, use in page if use == "unused"]
            if unused:
                await self._detach(unused, times.expired)
            awaited = [(repository_id, digest) for repository_id, digest, use in page if use == "awaited"]
            if awaited:
                await self._renew_layers(awaited)
            await asyncio.sleep(0)

    async def _page_of_layers(
        self, after: tuple[int, str], times: layer_rows.Times
    ) -> list[tuple[int, str, layer_rows.Use]]:
        return await self._db.read(lambda conn: layer_rows.page(conn, after, BATCH, times))

    async def _renew_layers(self, awaited: list[tuple[int, str]]) -> None:
        def work(conn: Connection) -> None:
            for repository_id, digest in awaited:
                layer_rows.renew(conn, repository_id, digest, self._clock.now())

        await self._db.transaction(work, long=True, by_row=True)

    async def _detach(self, unused: list[tuple[int, str]], before: float) -> None:
        def work(conn: Connection) -> None:
            gone = [
                digest
                for repository_id, digest in unused
                if layer_rows.detach_unused(conn, repository_id, digest, before)
            ]
            blob_rows.orphan(conn, gone, self._clock.now())

        await self._transaction(work)

    async def _mark_orphans(self) -> None:
        """Blobs whose last repository was destroyed."""
        after = ""
        while page := await self._page_of_blobs(after):
            after = page[-1][0]
            alone = [digest for digest, orphaned in page if orphaned]
            if alone:

                def work(conn: Connection, alone: list[str] = alone) -> None:
                    blob_rows.orphan(conn, alone, self._clock.now())

                await self._transaction(work)
            await asyncio.sleep(0)

    async def _page_of_blobs(self, after: str) -> list[tuple[str, bool]]:
        return await self._db.read(lambda conn: blob_rows.page(conn, after, BATCH))

    async def _free_orphans(self) -> None:
        before = self._before(self._settings.blob_grace_seconds)
        while digests := await self._db.read(lambda conn: blob_rows.orphans(conn, before, BATCH)):

            def work(conn: Connection, digests: list[str] = digests) -> list[str]:
                keys = [blob_rows.free(conn, digest, before) for digest in digests]
                blob_rows.unmark_held(conn, digests)
                return [key for key in keys if key is not None]

            for key in await self._transaction(work):
                await self._blobs.delete(key)

    async def _delete_leftovers(self) -> None:
        """Uploads and objects that no row knew, and nobody wrote, at two searches `LEFTOVER_SECONDS` apart."""
        seen: dict[tuple[str, str], _Suspect] = {}
        batch: list[Leftover] = []
        async for leftover in self._blobs.leftovers():
            batch.append(leftover)
            if len(batch) == BATCH:
                seen.update(await self._suspect(batch))
                batch = []
        seen.update(await self._suspect(batch))
        self._suspects = seen

    async def _suspect(self, batch: list[Leftover]) -> dict[tuple[str, str], _Suspect]:
        """Delete those of the batch suspected for long enough; returns the others that no row knows."""
        uploads = [each.name for each in batch if each.kind == "upload"]
        objects = [each.name for each in batch if each.kind == "object"]

        def work(conn: Connection) -> set[tuple[str, str]]:
            known = {("upload", name) for name in upload_rows.known(conn, uploads)}
            # An upload whose last transaction failed is an object already, and can still be finished.
            known |= {("object", name) for name in upload_rows.known(conn, objects)}
            return known | {("object", name) for name in blob_rows.object_keys(conn, objects)}

        known = await self._db.read(work) if batch else set()
        now = self._clock.elapsed()
        suspects: dict[tuple[str, str], _Suspect] = {}
        for each in batch:
            name = (each.kind, each.name)
            if name in known:
                continue
            suspect = self._suspects.get(name)
            if suspect is None or suspect.modified_at != each.modified_at:
                suspects[name] = _Suspect(now, each.modified_at)
            elif now - suspect.since < LEFTOVER_SECONDS:
                suspects[name] = suspect
            elif each.kind == "upload":
                await self._blobs.abort(each.name)
            else:
                await self._blobs.delete(each.name)
        return suspects
