"""Images: push, pull, list, describe and delete manifests and tags."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from moorage import pages
from moorage.clock import Clock
from moorage.errors import ImageDigestDoesNotMatch, ImageNotFound, InvalidParameter, LimitExceeded, RepositoryNotFound
from moorage.names import Digest, RepositoryRef
from moorage.registry.images.bounds import PAGE_TAGS
from moorage.registry.images.delete import Deletion, delete, too_many_tags
from moorage.registry.images.manifest_document import read_manifest
from moorage.registry.images.pull_times import Pulls
from moorage.registry.images.push import Push, over_quota, push
from moorage.registry.images.referrers import page_of_referrers
from moorage.registry.images.types import (
    Failure,
    Image,
    ImageId,
    Manifest,
    Put,
    Referrer,
    malformed,
    not_found,
    other_digest,
)
from moorage.registry.origin import Door, follows_ecr
from moorage.registry.query_cache import Recent
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.repositories import repositories as repository_rows

__all__ = ["Failure", "Image", "ImageId", "Images", "Manifest", "Put", "Referrer"]

_FEW = 20
"""Images that can be deleted, or tags that can be set, in a few milliseconds."""
MOST_REFERENCES = 4_201
"""Layers an image may have, and its config (docs/development/ecr-behavior.md §2)."""


class Images:
    """The images of every repository. Reads of a repository that is not there raise RepositoryNotFound."""

    def __init__(self, db: Database, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._recent: Recent[tuple[RepositoryRef, str], Manifest] = Recent(
            db, "manifests", lambda key, found: 1024 + len(key[0].name) + len(key[1]) + len(found.body)
        )
        self._pulls = Pulls(db, clock)

    async def put(
        self,
        ref: RepositoryRef,
        body: bytes,
        *,
        media_type: str | None,
        tags: Sequence[str] = (),
        digest: str | None,
        by: str,
        door: Door,
    ) -> Put:
        """Push the manifest `body`, sent as `media_type`, which must have `digest` when that is given, under `tags`.

        All of it becomes visible at once, or nothing does.

        InvalidParameter, ImageDigestDoesNotMatch, LayersNotFound, ReferencedImagesNotFound, ImageTagAlreadyExists,
        LimitExceeded; at the ECR door ImageAlreadyExists. By ECR's rules an image has at least one layer.
        """
        ecr = follows_ecr(door, self._settings)
        document = read_manifest(body, media_type, ecr=ecr)
        if ecr and not document.is_index and document.layer_count == 0:
            raise InvalidParameter.at("ImageManifest", "Image has to have at least 1 layer")
        if len(document.references) > MOST_REFERENCES:
            raise LimitExceeded(f"A manifest may name at most {MOST_REFERENCES} layers or images")
        actual = _digest(body, digest)
        if digest is not None and digest != actual:
            raise ImageDigestDoesNotMatch(digest, actual)
        names = tuple(dict.fromkeys(tags))
        given = Push(ref, body, document, actual, names, by, self._clock.now(), ecr, refuses_again=door == "ecr")
        return await self._db.transaction(
            lambda conn: push(conn, given, self._settings), long=len(names) > _FEW, grows=True
        )

    async def find(self, ref: RepositoryRef, reference: str) -> Manifest:
        """The manifest of a tag or digest; ImageNotFound. The hot path of every pull."""
        return await self._recent.get((ref, reference), lambda conn: _pull(conn, ref, reference))

    async def batch_get(self, ref: RepositoryRef, ids: Sequence[ImageId]) -> tuple[list[Manifest], list[Failure]]:
        """The manifests in the order asked for, each id once; what cannot be had is among the failures.

        LimitExceeded when the manifests have more than `PAGE_BYTES` together; any one of them can be had.
        """
        found: list[Manifest] = []
        most = room = max(pages.PAGE_BYTES, self._settings.max_manifest_bytes)
        failures: list[Failure] = []
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
                            raise over_quota(f"an answer may hold {most} bytes of manifests. Ask for fewer images")
                        found.append(manifest)
            if failure is not None:
                failures.append(failure)
        if not found:
            await self._db.read(lambda conn: _repository_id(conn, ref))
        return found, failures

    async def batch_delete(
        self, ref: RepositoryRef, ids: Sequence[ImageId], *, by: str, door: Door
    ) -> tuple[list[ImageId], list[Failure]]:
        """Delete tags (ids with a tag) and images; by ECR's rules an image goes with its last tag.

        They go to the trash. Returns what went, one entry a tag, and what did not.
        """
        given = Deletion(ref, ids, by, self._clock.now(), follows_ecr(door, self._settings))
        return await self._db.transaction(lambda conn: delete(conn, given), long=len(ids) > _FEW, frees=True)

    async def page_ids(
        self, ref: RepositoryRef, *, tag_status: str | None = None, after: str = "", limit: int
    ) -> tuple[list[ImageId], str | None]:
        """A page of ids, one a tag, and what to give as `after` for the next (None: this is the last)."""
        start = _cursor(after)

        def work(conn: Connection) -> list[Row[Any]]:
            return image_rows.page_ids(conn, _repository_id(conn, ref), tag_status, start, limit + 1)

        rows = await self._db.read(work)
        ids = [ImageId(row.digest, row.name) for row in rows[:limit]]
        return ids, f"{rows[limit - 1].id}:{rows[limit - 1].name or ''}" if len(rows) > limit else None

    async def describe(self, ref: RepositoryRef, ids: Sequence[ImageId]) -> list[Image]:
        """Each image once, in the order asked for; ImageNotFound when any is not there.

        InvalidParameter when they have more than `PAGE_TAGS` tags together.
        """

        def work(conn: Connection) -> list[Image]:
            repository_id = _repository_id(conn, ref)
            digests = list(dict.fromkeys(_resolve(conn, ref, repository_id, image) for image in ids))
            rows = image_rows.details(conn, repository_id, digests)
            for image in ids:
                if image.tag is None and image.digest not in rows:
                    raise ImageNotFound.one(ref, image.digest, image.tag)
            found = self._images(conn, ref, [rows[digest] for digest in digests])
            if len(found) < len(digests):
                raise too_many_tags()
            return found

        return await self._db.read(work)

    async def page(
        self, ref: RepositoryRef, *, tag_status: str | None = None, after: str = "", limit: int
    ) -> tuple[list[Image], str | None]:
        """A page of images in order of their first push, and what to give as `after` for the next.

        A page is shorter than `limit` when the images have more than `PAGE_TAGS` tags together.
        """
        start, _ = _cursor(after)

        def work(conn: Connection) -> tuple[list[Image], str | None]:
            rows = image_rows.page(conn, _repository_id(conn, ref), tag_status, start, limit + 1)
            found = self._images(conn, ref, rows[:limit])
            return found, f"{found[-1].id}:" if len(rows) > len(found) else None

        return await self._db.read(work)

    async def tag_names(self, ref: RepositoryRef, *, after: str = "", limit: int) -> list[str]:
        """The next tags after `after`, in ASCII order."""
        return await self._db.read(lambda conn: tag_rows.names(conn, _repository_id(conn, ref), after, limit))

    async def referrers(
        self, ref: RepositoryRef, subject: Digest, *, artifact_type: str | None = None, after: int = 0, limit: int
    ) -> tuple[list[Referrer], int | None]:
        """A page of the images whose subject is `subject` (which need not exist), and `after` for the next."""
        return await self._db.read(lambda conn: page_of_referrers(conn, ref, subject, artifact_type, after, limit))

    def _images(self, conn: Connection, ref: RepositoryRef, rows: Sequence[Row[Any]]) -> list[Image]:
        """The images of `rows`, the first at least, and no more than have `PAGE_TAGS` tags together."""
        most = max(PAGE_TAGS, self._settings.tags_per_image)
        tags, whole = tag_rows.of_manifests_at_most(conn, [row.id for row in rows], most)
        return [_image(ref, row, tags.get(row.id, ())) for row in rows if row.id in whole]

    def record_pull(self, manifest_id: int) -> None:
        """Note that the image was pulled now; written later, by `flush_pulls`."""
        self._pulls.record(manifest_id)

    async def flush_pulls(self) -> None:
        await self._pulls.flush()


def _digest(body: bytes, like: str | None) -> Digest:
    """The digest of `body` in the algorithm of the digest `like`; SHA-256 without one."""
    if like is not None and like.startswith("sha512:"):
        return Digest(f"sha512:{hashlib.sha512(body).hexdigest()}")
    return Digest(f"sha256:{hashlib.sha256(body).hexdigest()}")


def _repository_id(conn: Connection, ref: RepositoryRef) -> int:
    repository = repository_rows.find(conn, ref)
    if repository is None:
        raise RepositoryNotFound(ref)
    return int(repository.id)


def _pull(conn: Connection, ref: RepositoryRef, reference: str) -> Manifest:
    by_digest = ":" in reference  # no tag has a colon
    row = image_rows.by_digest(conn, ref, reference) if by_digest else image_rows.by_tag(conn, ref, reference)
    if row is None:
        _repository_id(conn, ref)
        raise ImageNotFound.requested()
    return Manifest(row.id, row.digest, row.media_type, row.body, None if by_digest else reference)


def _resolve(conn: Connection, ref: RepositoryRef, repository_id: int, image: ImageId) -> str:
    """The digest that the id stands for."""
    if malformed(image) is not None:
        raise ImageNotFound.one(ref, image.digest, image.tag)
    if image.tag is None:
        return image.digest or ""
    tag = tag_rows.find(conn, repository_id, image.tag)
    if tag is None or image.digest not in {None, tag.digest}:
        raise ImageNotFound.one(ref, image.digest, image.tag)
    return str(tag.digest)


def _image(ref: RepositoryRef, row: Row[Any], tags: Sequence[str]) -> Image:
    return Image(
        id=row.id,
        ref=ref,
        digest=row.digest,
        tags=tuple(tags),
        size=row.image_size,
        pushed_at=row.pushed_at,
        media_type=row.media_type,
        artifact_type=row.artifact_type,
        config_media_type=row.config_media_type,
        last_pulled_at=row.last_pulled_at,
        subject=row.subject,
    )


def _cursor(after: str) -> tuple[int, str]:
    """Where a page begins: a manifest id and a tag. The doors seal what they hand out, so it is one of ours."""
    manifest_id, _, tag = after.partition(":")
    return int(manifest_id or 0), tag
