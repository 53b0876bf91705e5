"""What was deleted: shown, brought back, or destroyed before its time (design §3)."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from moorage.clock import Clock
from moorage.errors import (
    ImageNotFound,
    ImageTagAlreadyExists,
    LayersLost,
    RepositoryAlreadyExists,
    RepositoryNotDeleted,
    RepositoryNotFound,
)
from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef
from moorage.registry import events
from moorage.registry.images.manifest_document import may_be_elsewhere
from moorage.registry.images.push import over_quota
from moorage.registry.images.tag_mutability import may_move
from moorage.registry.quotas import require_repository_room
from moorage.registry.repositories.validation import check_creatable
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.images import trash as rows
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.repositories import repositories as repository_rows
from moorage.store.metadata.repositories.repositories import RepositoryRow

MOST_LOOKED_AT = 100
"""Entries of a tag's history that are looked through for an image to restore."""


class Deleted(NamedTuple):
    """A repository in the trash."""

    name: str
    deleted_at: float
    deleted_by: str


class Restored(NamedTuple):
    """What came back with an image that was asked for."""

    tags: Sequence[str]
    """Its own tags that nobody took since."""
    others: Sequence[Digest]
    """Of an index: the images it names that were deleted with it or later, and what these name in turn."""


class _Act(NamedTuple):
    """Who restores something, when, and where."""

    ref: RepositoryRef
    repository: RepositoryRow
    by: str
    at: float


class Trash:
    """Brings back what was deleted last under a name; the sweep destroys the rest when its time has come.

    The quotas hold here as they do for a push: LimitExceeded, and nothing has come back.
    """

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings

    async def repositories(self, account: AccountId, region: Region) -> list[Deleted]:
        """The registry's deleted repositories, the last one first."""
        found = await self._db.read(lambda conn: repository_rows.trash(conn, account, region))
        return [Deleted(row.name, row.deleted_at, row.deleted_by) for row in found]

    async def latest(self, ref: RepositoryRef) -> int | None:
        """The id of the repository that was deleted last under that name; None when none is in the trash."""
        row = await self._db.read(lambda conn: repository_rows.latest_in_trash(conn, ref))
        return None if row is None else int(row.id)

    async def restore_repository(
        self, ref: RepositoryRef, *, as_name: RepositoryName | None, by: str, decided: int | None = None
    ) -> RepositoryRef:
        """The deleted repository is there again, with all it held, under `as_name` when given.

        `decided`: the id that it must have, where something was decided on it before.
        RepositoryNotFound when none of that name is in the trash, RepositoryAlreadyExists when the name is in use,
        InvalidParameter when no repository may have that name, LimitExceeded when the registry is full.
        """
        target = ref if as_name is None else ref._replace(name=as_name)
        check_creatable(target)

        def work(conn: Connection) -> None:
            row = _latest(conn, ref, decided)
            if repository_rows.find(conn, target) is not None:
                raise RepositoryAlreadyExists(target)
            require_repository_room(conn, target, self._settings)
            repository_rows.restore(conn, row.id, target.name)
            epoch.advance_repository(conn)
            events.record(conn, target, "repository.restored", {"by": by}, at=self._clock.now())

        await self._db.transaction(work)
        return target

    async def restore_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> Restored:
        """Bring the deleted image back, with the layers that were deleted since.

        RepositoryNotFound, ImageNotFound, LimitExceeded; LayersLost when the repository has not all of them.
        """

        def work(conn: Connection) -> Restored:
            act = self._act(conn, ref, by)
            row = rows.image(conn, act.repository.id, digest)
            if row is None or rows.living_image(conn, act.repository.id, digest) is not None:
                raise ImageNotFound.deleted(ref, digest)
            return self._revive(conn, act, row)

        return await self._db.transaction(work)

    async def restore_tag(self, ref: RepositoryRef, tag: str, *, by: str) -> Digest:
        """Point the tag at the image that it pointed at before, restored if it was deleted. Returns the image's digest.

        RepositoryNotFound, LimitExceeded, LayersLost; ImageNotFound when none of the last `MOST_LOOKED_AT` images of
        the tag is here or in the trash, ImageTagAlreadyExists when it points at another one and may not move.
        """

        def work(conn: Connection) -> Digest:
            act = self._act(conn, ref, by)
            current = tag_rows.find(conn, act.repository.id, tag)
            standing = None if current is None else current.digest
            for digest in rows.past_of_tag(conn, act.repository.id, tag, MOST_LOOKED_AT):
                if digest is None or digest == standing:
                    continue
                manifest_id = rows.living_image(conn, act.repository.id, digest)
                deleted = rows.image(conn, act.repository.id, digest) if manifest_id is None else None
                if deleted is not None:
                    manifest_id = deleted.id
                if manifest_id is None:
                    continue  # its image is destroyed
                if standing is not None and not _may_move(act.repository, tag):
                    raise ImageTagAlreadyExists(ref, tag)
                if deleted is not None:
                    self._revive(conn, act, deleted)
                self._point(conn, act, tag, manifest_id, Digest(digest))
                events.record(conn, ref, "tag.restored", {"by": by, "tag": tag, "digest": digest}, at=act.at)
                return Digest(digest)
            raise ImageNotFound.tagged_before(ref, tag)

        return await self._db.transaction(work)

    async def purge_repository(self, ref: RepositoryRef, *, by: str, decided: int | None = None) -> None:
        """Destroy the repository that was deleted last under that name. `decided` as above. RepositoryNotFound."""

        def work(conn: Connection) -> list[str]:
            row = _latest(conn, ref, decided)
            events.record(conn, ref, "repository.purged", {"by": by}, at=self._clock.now())
            return repository_rows.destroy(conn, row.id)

        for upload_id in await self._db.transaction(work, long=True, frees=True):
            await self._blobs.abort(upload_id)

    async def purge_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> list[Digest]:
        """Destroy a deleted image. RepositoryNotFound, ImageNotFound.

        Of an index, the images go too that `restore_image` would bring back with it, unless another index of the
        repository names them; returns their digests. In the same transaction the repository loses each config and layer
        that nothing else in it references, even if a push under way counts on it. Referrers are images of their own.
        """

        def work(conn: Connection) -> list[Digest]:
            act = self._act(conn, ref, by)
            row = rows.image(conn, act.repository.id, digest)
            if row is None:
                raise ImageNotFound.deleted(ref, digest)
            others: list[Digest] = []
            doomed = [row]
            while doomed:  # not a recursion: the client chooses how deep indexes are nested
                image = doomed.pop()
                children = rows.deleted_children(conn, act.repository.id, image.id, since=image.deleted_at)
                self._destroy(conn, act, image)
                for child in children:
                    if _is_only_deleted(conn, act.repository.id, child.digest):
                        others.append(Digest(child.digest))
                        doomed.append(child)
            return others

        return await self._db.transaction(work, long=True, frees=True)

    def _destroy(self, conn: Connection, act: _Act, image: Row[Any]) -> None:
        """Destroy one deleted image, and detach the blobs that only it referenced."""
        blobs = rows.destroy_image(conn, image.id)
        detached = layer_rows.detach_unreferenced(conn, act.repository.id, blobs)
        blob_rows.orphan(conn, detached, act.at)
        events.record(conn, act.ref, "image.purged", {"by": act.by, "digest": image.digest}, at=act.at)

    def _act(self, conn: Connection, ref: RepositoryRef, by: str) -> _Act:
        repository = repository_rows.find(conn, ref)
        if repository is None:
            raise RepositoryNotFound(ref)
        return _Act(ref, repository, by, self._clock.now())

    def _revive(self, conn: Connection, act: _Act, row: Row[Any]) -> Restored:
        """Bring the image of a row of `rows.image` back, and of an index what was deleted with it or later."""
        tags = self._revive_one(conn, act, row)
        others: list[Digest] = []
        parents = [row]
        while parents:  # indexes may name indexes; not a recursion, as their depth is the client's choice
            parent = parents.pop()
            for child in rows.deleted_children(conn, act.repository.id, parent.id, since=parent.deleted_at):
                if rows.living_image(conn, act.repository.id, child.digest) is None:
                    self._revive_one(conn, act, child)
                    others.append(Digest(child.digest))
                    parents.append(child)
        return Restored(tags, others)

    def _revive_one(self, conn: Connection, act: _Act, row: Row[Any]) -> list[str]:
        """One image with those of its tags that nobody took since; these tags."""
        repository_id = act.repository.id
        if image_rows.reaches(conn, repository_id, self._settings.images_per_repository):
            raise over_quota(f"a repository may have {self._settings.images_per_repository} images")
        missing = layer_rows.bring_back(conn, repository_id, row.id)
        lost = [digest for digest, media_type in missing if not may_be_elsewhere(media_type)]
        if lost:
            raise LayersLost(row.digest, list(dict.fromkeys(lost)))
        image_rows.revive(conn, repository_id, row.id)
        tags = [
            name
            for name in rows.tags_lost_at(conn, repository_id, row.deleted_at)
            if tag_rows.find(conn, repository_id, name) is None
            and next((past for past in rows.past_of_tag(conn, repository_id, name, 2) if past), None) == row.digest
        ]
        for name in tags:
            self._point(conn, act, name, row.id, row.digest)
        events.record(conn, act.ref, "image.restored", {"by": act.by, "digest": row.digest}, at=act.at)
        return tags

    def _point(self, conn: Connection, act: _Act, tag: str, manifest_id: int, digest: Digest) -> None:
        if tag_rows.count(conn, manifest_id) >= self._settings.tags_per_image:
            raise over_quota(f"an image may have {self._settings.tags_per_image} tags")
        tag_rows.point(conn, act.repository.id, tag, manifest_id, digest, act.at, act.by)


def _latest(conn: Connection, ref: RepositoryRef, decided: int | None) -> RepositoryRow:
    """The repository that was deleted last under that name. RepositoryNotFound, also for another than `decided`."""
    row = repository_rows.latest_in_trash(conn, ref)
    if row is None or decided not in {None, row.id}:
        raise RepositoryNotDeleted(ref)
    return row


def _is_only_deleted(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether the image is nowhere but in the trash, and no index of the repository names it."""
    return rows.living_image(conn, repository_id, digest) is None and not rows.is_child(conn, repository_id, digest)


def _may_move(repository: RepositoryRow, tag: str) -> bool:
    return may_move(repository.mutability, json.loads(repository.exclusion_filters), tag)
