"""The images of all registries: each method is one transaction over the rules (`push`, `delete`, `read`)."""

from collections.abc import Sequence
from typing import Final

from moorage import pages
from moorage.clock import Clock
from moorage.errors import ImageNotFound
from moorage.names import Digest, RepositoryRef
from moorage.registry.images import delete, push, read
from moorage.registry.images.pull_times import PullTimes
from moorage.registry.images.types import (
    Image,
    ImageFailure,
    ImageId,
    Manifest,
    PushResult,
    Referrer,
    malformed,
    not_found,
    other_digest,
)
from moorage.registry.origin import Api, follows_ecr
from moorage.registry.query_cache import QueryCache
from moorage.registry.quotas import quota_exceeded
from moorage.registry.repositories import rules as repositories
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database

_FEW: Final = 20
"""Images that can be deleted, or tags that can be set, in a few milliseconds."""


class Images:
    """Pushes, finds, lists and deletes images. Every method but `record_pull` raises RepositoryNotFound."""

    def __init__(self, db: Database, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._manifests: QueryCache[tuple[RepositoryRef, str], Manifest] = QueryCache(
            db, "manifests", lambda key, found: 1024 + len(key[0].name) + len(key[1]) + len(found.body)
        )
        self._pull_times = PullTimes(db, clock)

    async def put(
        self,
        ref: RepositoryRef,
        body: bytes,
        *,
        media_type: str | None,
        tags: Sequence[str] = (),
        digest: str | None,
        by: str,
        api: Api,
    ) -> PushResult:
        """Push the manifest `body`, sent as `media_type`, under `tags`. It must have `digest`, if that is given.

        Either all of it becomes visible or nothing. InvalidParameter, ImageDigestDoesNotMatch, LayersNotFound,
        ReferencedImagesNotFound, ImageTagAlreadyExists, LimitExceeded; through the ECR API ImageAlreadyExists. By ECR's
        rules an image has at least one layer.
        """
        given = push.prepare(
            ref,
            body,
            media_type=media_type,
            tags=tags,
            digest=digest,
            ecr=follows_ecr(api, self._settings),
            refuses_again=api == "ecr",
        )
        return await self._db.transaction(
            lambda conn: push.push(conn, given, self._settings, by=by, at=self._clock.now()),
            long=len(given.tags) > _FEW,
            grows=True,
        )

    async def find(self, ref: RepositoryRef, reference: str) -> Manifest:
        """Return the manifest of a tag or digest. ImageNotFound. Every pull calls it, so it is cached."""
        return await self._manifests.get((ref, reference), lambda conn: read.manifest(conn, ref, reference))

    async def batch_get(self, ref: RepositoryRef, ids: Sequence[ImageId]) -> tuple[list[Manifest], list[ImageFailure]]:
        """Return the manifests, each once and in the order of the ids, and the failures.

        LimitExceeded if the manifests have more than `PAGE_BYTES` together. A single one may always be that long.
        """
        found: list[Manifest] = []
        most = room = max(pages.PAGE_BYTES, self._settings.max_manifest_bytes)
        failures: list[ImageFailure] = []
        for image in dict.fromkeys(ids):
            failure = malformed(image)
            if failure is None:
                try:
                    manifest = await self.find(ref, image.tag or image.digest or "")
                except ImageNotFound:
                    failure = not_found(image)
                else:
                    if image.digest not in {None, manifest.digest}:
                        failure = other_digest(image)
                    else:
                        room -= len(manifest.body)
                        if room < 0:
                            raise quota_exceeded(f"an answer may hold {most} bytes of manifests. Ask for fewer images")
                        found.append(manifest)
            if failure is not None:
                failures.append(failure)
        if not found:
            await self._db.read(lambda conn: repositories.require_id(conn, ref))
        return found, failures

    async def batch_delete(
        self, ref: RepositoryRef, ids: Sequence[ImageId], *, by: str, api: Api
    ) -> tuple[list[ImageId], list[ImageFailure]]:
        """Move images to the trash and delete tags (ids with a tag). By ECR's rules an image goes with its last tag.

        Return what was deleted, one entry for each tag, and the failures. InvalidParameter if that lists too many tags.
        """
        given = delete.Deletion(ref, ids, follows_ecr(api, self._settings))
        return await self._db.transaction(
            lambda conn: delete.delete(conn, given, by=by, at=self._clock.now()), long=len(ids) > _FEW, frees=True
        )

    async def page_ids(
        self, ref: RepositoryRef, *, tag_status: str | None = None, after: str = "", limit: int
    ) -> tuple[list[ImageId], str | None]:
        """Return a page of image ids, one for each tag, and the `after` of the next page (None: this is the last)."""
        return await self._db.read(lambda conn: read.page_of_ids(conn, ref, tag_status, after, limit))

    async def describe(self, ref: RepositoryRef, ids: Sequence[ImageId]) -> list[Image]:
        """Return each image once, in the order given.

        ImageNotFound if one is missing. InvalidParameter if they have more than `PAGE_TAGS` tags together.
        """
        return await self._db.read(lambda conn: read.describe(conn, ref, ids, self._settings))

    async def page(
        self, ref: RepositoryRef, *, tag_status: str | None = None, after: str = "", limit: int
    ) -> tuple[list[Image], str | None]:
        """Return a page of images in order of their first push, and the `after` of the next page.

        A page is shorter than `limit` if the images have more than `PAGE_TAGS` tags together.
        """
        return await self._db.read(lambda conn: read.page(conn, ref, tag_status, after, limit, self._settings))

    async def tag_names(self, ref: RepositoryRef, *, after: str = "", limit: int) -> list[str]:
        """Return the next tags after `after`, in ASCII order."""
        return await self._db.read(lambda conn: read.tag_names(conn, ref, after, limit))

    async def referrers(
        self, ref: RepositoryRef, subject: Digest, *, artifact_type: str | None = None, after: int = 0, limit: int
    ) -> tuple[list[Referrer], int | None]:
        """Return a page of the images whose subject is `subject`, and the `after` of the next page.

        The subject need not exist.
        """
        return await self._db.read(lambda conn: read.page_of_referrers(conn, ref, subject, artifact_type, after, limit))

    def record_pull(self, manifest_id: int) -> None:
        """Note that the image was pulled now. `flush_pulls` writes it."""
        self._pull_times.record(manifest_id)

    async def flush_pulls(self) -> None:
        """Write the pulls that were noted."""
        await self._pull_times.flush()
