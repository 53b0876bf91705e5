"""The trash of all registries: each method is one transaction over `rules`."""

from moorage.clock import Clock
from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef
from moorage.registry.repositories.validation import check_creatable
from moorage.registry.trash import rules
from moorage.registry.trash.types import RestoredImage, TrashedRepository
from moorage.settings import Settings
from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database


class Trash:
    """Restores what was deleted last under a name, or destroys it. The errors are those of `rules`."""

    def __init__(self, db: Database, blobs: BlobStore, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._settings = settings

    async def repositories(self, account: AccountId, region: Region) -> list[TrashedRepository]:
        """Return the registry's repositories in the trash, the last deleted first."""
        return await self._db.read(lambda conn: rules.deleted_repositories(conn, account, region))

    async def latest(self, ref: RepositoryRef) -> int | None:
        """Return the id of the repository of that name that was deleted last; None if none is in the trash."""
        return await self._db.read(lambda conn: rules.latest(conn, ref))

    async def restore_repository(
        self, ref: RepositoryRef, *, as_name: RepositoryName | None, by: str, expected_id: int | None = None
    ) -> RepositoryRef:
        """Restore the deleted repository with everything in it, under `as_name` if given. Return where it is now.

        `expected_id`: the id that it must have, if permissions were decided on it before. RepositoryNotFound,
        RepositoryAlreadyExists, InvalidParameter, LimitExceeded.
        """
        target = ref if as_name is None else ref._replace(name=as_name)
        check_creatable(target)
        await self._db.transaction(
            lambda conn: rules.restore_repository(
                conn, ref, target, self._settings, expected_id=expected_id, by=by, at=self._clock.now()
            )
        )
        return target

    async def restore_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> RestoredImage:
        """Restore the deleted image with its layers. RepositoryNotFound, ImageNotFound, LimitExceeded, LayersLost."""
        return await self._db.transaction(
            lambda conn: rules.restore_image(conn, ref, digest, self._settings, by=by, at=self._clock.now())
        )

    async def restore_tag(self, ref: RepositoryRef, tag: str, *, by: str) -> Digest:
        """Point the tag at the image that it pointed at before. Return the image's digest.

        RepositoryNotFound, ImageNotFound, ImageTagAlreadyExists, LimitExceeded, LayersLost.
        """
        return await self._db.transaction(
            lambda conn: rules.restore_tag(conn, ref, tag, self._settings, by=by, at=self._clock.now())
        )

    async def purge_repository(self, ref: RepositoryRef, *, by: str, expected_id: int | None = None) -> None:
        """Destroy the repository that was deleted last under that name. RepositoryNotFound."""
        uploads = await self._db.transaction(
            lambda conn: rules.purge_repository(conn, ref, expected_id=expected_id, by=by, at=self._clock.now()),
            long=True,
            frees=True,
        )
        for upload_id in uploads:
            await self._blobs.abort(upload_id)

    async def purge_image(self, ref: RepositoryRef, digest: Digest, *, by: str) -> list[Digest]:
        """Destroy a deleted image; return the digests of those destroyed with it. RepositoryNotFound, ImageNotFound."""
        return await self._db.transaction(
            lambda conn: rules.purge_image(conn, ref, digest, by=by, at=self._clock.now()), long=True, frees=True
        )
