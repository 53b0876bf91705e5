"""What was deleted: shown, brought back, or destroyed before its time (design §3)."""

from typing import NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import ImageNotFound, RepositoryAlreadyExists, RepositoryNotFound
from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef
from moorage.registry import events
from moorage.registry.repositories import check_creatable
from moorage.store.metadata import epoch
from moorage.store.metadata import repositories as repository_rows
from moorage.store.metadata import tags as tag_rows
from moorage.store.metadata import trash as rows
from moorage.store.metadata.database import Database


class Deleted(NamedTuple):
    """A repository in the trash."""

    name: str
    deleted_at: float
    deleted_by: str


class Trash:
    """Brings back what was deleted last under a name; the sweep destroys the rest when its time has come."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def repositories(self, account: AccountId, region: Region) -> list[Deleted]:
        """The registry's deleted repositories, the last one first."""
        found = await self._db.read(lambda conn: rows.repositories_of(conn, account, region))
        return [Deleted(row.name, row.deleted_at, row.deleted_by) for row in found]

    async def restore_repository(self, ref: RepositoryRef, *, as_name: RepositoryName | None, by: str) -> RepositoryRef:
        """The deleted repository is there again, with all it held, under `as_name` when given.

        RepositoryNotFound when none of that name is in the trash, RepositoryAlreadyExists when the name is in use,
        InvalidParameter when no repository may have that name.
        """
        target = ref if as_name is None else ref._replace(name=as_name)
        check_creatable(target)

        def work(conn: Connection) -> None:
            row = repository_rows.latest_in_trash(conn, ref)
            if row is None:
                raise RepositoryNotFound(ref)
            if repository_rows.find(conn, target) is not None:
                raise RepositoryAlreadyExists(target)
            repository_rows.change(conn, row.id, name=target.name, deleted_at=None, deleted_by=None)
            epoch.advance(conn)
            events.record(conn, target, "repository.restored", {"by": by}, at=self._clock.now())

        await self._db.transaction(work)
        return target

    async def restore_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> list[str]:
        """The deleted image is there again, with those of its tags that nobody took since; these tags.

        RepositoryNotFound, ImageNotFound.
        """

        def work(conn: Connection) -> list[str]:
            repository_id = _living(conn, ref)
            row = rows.image(conn, repository_id, digest)
            if row is None or rows.living_image(conn, repository_id, digest) is not None:
                raise ImageNotFound.one(ref, digest, None)
            rows.revive_image(conn, row.id)
            now = self._clock.now()
            lost = [
                name
                for name in rows.tags_lost_at(conn, repository_id, row.deleted_at)
                if tag_rows.find(conn, repository_id, name) is None
                and next((past for past in rows.past_of_tag(conn, repository_id, name) if past), None) == digest
            ]
            for name in lost:
                tag_rows.point(conn, repository_id, name, row.id, digest, now, by)
            events.record(conn, ref, "image.restored", {"by": by, "digest": digest}, at=now)
            return lost

        return await self._db.transaction(work)

    async def restore_tag(self, ref: RepositoryRef, tag: str, *, by: str) -> Digest:
        """The tag stands again for what it stood for before; that digest. A deleted image comes back with it.

        RepositoryNotFound, ImageNotFound when the tag has no earlier image here or in the trash.
        """

        def work(conn: Connection) -> Digest:
            repository_id = _living(conn, ref)
            current = tag_rows.find(conn, repository_id, tag)
            standing = None if current is None else current.digest
            for digest in rows.past_of_tag(conn, repository_id, tag):
                if digest is None or digest == standing:
                    continue
                manifest_id = rows.living_image(conn, repository_id, digest)
                deleted = rows.image(conn, repository_id, digest) if manifest_id is None else None
                if deleted is not None:
                    rows.revive_image(conn, deleted.id)
                    manifest_id = deleted.id
                if manifest_id is not None:
                    now = self._clock.now()
                    tag_rows.point(conn, repository_id, tag, manifest_id, digest, now, by)
                    events.record(conn, ref, "tag.restored", {"by": by, "tag": tag, "digest": digest}, at=now)
                    return Digest(digest)
            raise ImageNotFound.one(ref, None, tag)

        return await self._db.transaction(work)

    async def purge_repository(self, ref: RepositoryRef, *, by: str) -> None:
        """Destroy the repository that was deleted last under that name. RepositoryNotFound."""

        def work(conn: Connection) -> None:
            row = repository_rows.latest_in_trash(conn, ref)
            if row is None:
                raise RepositoryNotFound(ref)
            repository_rows.destroy(conn, row.id)
            events.record(conn, ref, "repository.purged", {"by": by}, at=self._clock.now())

        await self._db.transaction(work, long=True)

    async def purge_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> None:
        """Destroy a deleted image. RepositoryNotFound, ImageNotFound."""

        def work(conn: Connection) -> None:
            row = rows.image(conn, _living(conn, ref), digest)
            if row is None:
                raise ImageNotFound.one(ref, digest, None)
            rows.destroy_image(conn, row.id)
            events.record(conn, ref, "image.purged", {"by": by, "digest": digest}, at=self._clock.now())

        await self._db.transaction(work)


def _living(conn: Connection, ref: RepositoryRef) -> int:
    row = repository_rows.find(conn, ref)
    if row is None:
        raise RepositoryNotFound(ref)
    repository_id: int = row.id
    return repository_id
