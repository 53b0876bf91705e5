"""Finding and listing images, as functions of a connection. Every function raises RepositoryNotFound."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from moorage.errors import ImageNotFound
from moorage.names import Digest, RepositoryRef
from moorage.pages import Room
from moorage.registry.images.delete import too_many_tags
from moorage.registry.images.types import PAGE_TAGS, Image, ImageId, Manifest, Referrer, malformed
from moorage.registry.repositories import rules as repositories
from moorage.settings import Settings
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.images.images import DetailRow, ReferrerRow


def manifest(conn: Connection, ref: RepositoryRef, reference: str) -> Manifest:
    """Return the manifest of a tag or digest. ImageNotFound."""
    by_digest = ":" in reference  # a tag has no colon
    row = image_rows.by_digest(conn, ref, reference) if by_digest else image_rows.by_tag(conn, ref, reference)
    if row is None:
        repositories.require_id(conn, ref)
        raise ImageNotFound.requested()
    return Manifest(row.id, row.digest, row.media_type, row.body, None if by_digest else reference)


def page_of_ids(
    conn: Connection, ref: RepositoryRef, tag_status: str | None, after: str, limit: int
) -> tuple[list[ImageId], str | None]:
    """Return a page of image ids, one for each tag, and the `after` of the next page (None: this is the last)."""
    rows = image_rows.page_ids(conn, repositories.require_id(conn, ref), tag_status, _position(after), limit + 1)
    ids = [ImageId(row.digest, row.tag) for row in rows[:limit]]
    return ids, f"{rows[limit - 1].id}:{rows[limit - 1].tag or ''}" if len(rows) > limit else None


def describe(conn: Connection, ref: RepositoryRef, ids: Sequence[ImageId], settings: Settings) -> list[Image]:
    """Return each image once, in the order given.

    ImageNotFound if one is missing. InvalidParameter if they have more than `PAGE_TAGS` tags together.
    """
    repository_id = repositories.require_id(conn, ref)
    digests = list(dict.fromkeys(_digest_of(conn, ref, repository_id, image) for image in ids))
    rows = image_rows.details(conn, repository_id, digests)
    for image in ids:
        if image.tag is None and image.digest not in rows:
            raise ImageNotFound.one(ref, image.digest, image.tag)
    found = _images(conn, ref, [rows[digest] for digest in digests], settings)
    if len(found) < len(digests):
        raise too_many_tags()
    return found


def page(
    conn: Connection, ref: RepositoryRef, tag_status: str | None, after: str, limit: int, settings: Settings
) -> tuple[list[Image], str | None]:
    """Return a page of images in order of their first push, and the `after` of the next page (None: this is the last).

    A page is shorter than `limit` if the images have more than `PAGE_TAGS` tags together.
    """
    start, _ = _position(after)
    rows = image_rows.page(conn, repositories.require_id(conn, ref), tag_status, start, limit + 1)
    found = _images(conn, ref, rows[:limit], settings)
    return found, f"{found[-1].id}:" if len(rows) > len(found) else None


def tag_names(conn: Connection, ref: RepositoryRef, after: str, limit: int) -> list[str]:
    """Return the next tags after `after`, in ASCII order."""
    return tag_rows.names(conn, repositories.require_id(conn, ref), after, limit)


def page_of_referrers(
    conn: Connection, ref: RepositoryRef, subject: Digest, artifact_type: str | None, after: int, limit: int
) -> tuple[list[Referrer], int | None]:
    """Return a page of the images whose subject is `subject`, and the `after` of the next page.

    `after` is None for the last page. The subject need not exist. A page has at most `limit` referrers and `PAGE_BYTES`
    of annotations, and at least one referrer if there is any.
    """
    repository_id = repositories.require_id(conn, ref)
    sizes = image_rows.referrer_sizes(conn, repository_id, subject, artifact_type, after, limit + 1)
    room = Room(limit)
    ids: list[int] = []
    for row in sizes:
        if not room.takes(row.size):
            break
        ids.append(row.id)
    found = [_referrer(row) for row in image_rows.referrers(conn, ids)] if ids else []
    return found, ids[-1] if len(sizes) > len(ids) else None


def _position(after: str) -> tuple[int, str]:
    """Return the manifest id and tag after which a page begins. Clients only have sealed ones, so it is well-formed."""
    manifest_id, _, tag = after.partition(":")
    return int(manifest_id or 0), tag


def _digest_of(conn: Connection, ref: RepositoryRef, repository_id: int, image: ImageId) -> str:
    """Return the digest that the id names. ImageNotFound."""
    if malformed(image) is not None:
        raise ImageNotFound.one(ref, image.digest, image.tag)
    if image.tag is None:
        return image.digest or ""
    tag = tag_rows.find(conn, repository_id, image.tag)
    if tag is None or image.digest not in {None, tag.digest}:
        raise ImageNotFound.one(ref, image.digest, image.tag)
    return tag.digest


def _images(conn: Connection, ref: RepositoryRef, rows: Sequence[DetailRow], settings: Settings) -> list[Image]:
    """Return the images of the first rows, at least one, whose tags are at most `PAGE_TAGS` together."""
    most = max(PAGE_TAGS, settings.tags_per_image)
    tags, whole = tag_rows.of_manifests_at_most(conn, [row.id for row in rows], most)
    return [_image(ref, row, tags.get(row.id, ())) for row in rows if row.id in whole]


def _image(ref: RepositoryRef, row: DetailRow, tags: Sequence[str]) -> Image:
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


def _referrer(row: ReferrerRow) -> Referrer:
    annotations = None if row.annotations in {None, "{}"} else msgspec.Raw(row.annotations.encode())
    return Referrer(row.digest, row.media_type, row.size, row.artifact_type, annotations)
