"""Restoring what was deleted, or destroying it before it expires. Functions of a connection.

Each change records its event. `by` is the principal who makes it, `at` the time in seconds since the epoch. The quotas
of a push apply to what is restored (LimitExceeded).
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.errors import (
    ImageNotFound,
    ImageTagAlreadyExists,
    LayersLost,
    RepositoryAlreadyExists,
    RepositoryNotDeleted,
)
from moorage.events import registry as vocabulary
from moorage.names import AccountId, Digest, Region, RepositoryRef, Tag
from moorage.registry.images.manifest_document import is_nondistributable
from moorage.registry.images.tag_mutability import may_move
from moorage.registry.quotas import quota_exceeded, require_repository_room
from moorage.registry.repositories import rules as repositories
from moorage.registry.repositories.validation import check_creatable
from moorage.registry.trash.types import RestoredImage, TrashedRepository
from moorage.settings import Settings
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.images import trash as rows
from moorage.store.metadata.images.trash import DeletedImageRow
from moorage.store.metadata.layers import blobs as blob_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.repositories import repositories as repository_rows
from moorage.store.metadata.repositories import trash as repository_trash
from moorage.store.metadata.repositories.repositories import RepositoryRow

MAX_REVISIONS: Final = 100
"""Entries of a tag's history that are searched for an image to restore."""


def deleted_repositories(conn: Connection, account: AccountId, region: Region) -> list[TrashedRepository]:
    """Return the registry's repositories in the trash, the last deleted first."""
    return [TrashedRepository(*row) for row in repository_trash.all_of(conn, account, region)]


def latest(conn: Connection, ref: RepositoryRef) -> int | None:
    """Return the id of the repository of that name that was deleted last; None if none is in the trash."""
    row = repository_trash.latest(conn, ref)
    return None if row is None else row.id


def restore_repository(
    conn: Connection,
    ref: RepositoryRef,
    target: RepositoryRef,
    settings: Settings,
    *,
    expected_id: int | None,
    by: str,
    at: float,
) -> None:
    """Restore the repository of that name that was deleted last, with everything in it, as `target`.

    `expected_id`: the id that it must have, if permissions were decided on it before. RepositoryNotFound if none of
    that name is in the trash, RepositoryAlreadyExists if the name is in use, InvalidParameter if it cannot be created.
    """
    check_creatable(target)
    row = _latest(conn, ref, expected_id)
    if repository_rows.find(conn, target) is not None:
        raise RepositoryAlreadyExists(target)
    require_repository_room(conn, target, settings)
    repository_trash.restore(conn, row.id, target.name)
    event = vocabulary.RepositoryRestored(at=at, by=by, **events.of_repository(target), former_name=ref.name)
    events.record(conn, event)


def purge_repository(conn: Connection, ref: RepositoryRef, *, expected_id: int | None, by: str, at: float) -> list[str]:
    """Destroy the repository of that name that was deleted last. Return the ids of its uploads, for the blob store.

    `expected_id` as for `restore_repository`. RepositoryNotFound if none of that name is in the trash.
    """
    row = _latest(conn, ref, expected_id)
    events.record(conn, vocabulary.RepositoryPurged(at=at, by=by, **events.of_repository(ref)))
    return repository_trash.destroy(conn, row.id)


def _latest(conn: Connection, ref: RepositoryRef, expected_id: int | None) -> RepositoryRow:
    row = repository_trash.latest(conn, ref)
    if row is None or expected_id not in {None, row.id}:
        raise RepositoryNotDeleted(ref)
    return row


class _Change(NamedTuple):
    """A change of one repository: by whom, when, and within which quotas."""

    ref: RepositoryRef
    repository: RepositoryRow
    settings: Settings
    by: str
    at: float


def restore_image(
    conn: Connection, ref: RepositoryRef, digest: Digest, settings: Settings, *, by: str, at: float
) -> RestoredImage:
    """Restore the deleted image, with its layers that were deleted since.

    RepositoryNotFound, ImageNotFound, LimitExceeded; LayersLost if the repository no longer has all of its layers.
    """
    change = _Change(ref, repositories.require(conn, ref), settings, by, at)
    row = rows.image(conn, change.repository.id, digest)
    if row is None or image_rows.live_id(conn, change.repository.id, digest) is not None:
        raise ImageNotFound.deleted(ref, digest)
    return _restore(conn, change, row)


def restore_tag(conn: Connection, ref: RepositoryRef, tag: str, settings: Settings, *, by: str, at: float) -> Digest:
    """Point the tag at the image that it pointed at before, restored if it was deleted. Return the image's digest.

    RepositoryNotFound, LimitExceeded, LayersLost. ImageNotFound if none of the last `MAX_REVISIONS` images of the tag
    exists or is in the trash. ImageTagAlreadyExists if the tag points at another image and may not move.
    """
    change = _Change(ref, repositories.require(conn, ref), settings, by, at)
    repository = change.repository
    current = tag_rows.find(conn, repository.id, tag)
    for digest in rows.tag_revisions(conn, repository.id, tag, MAX_REVISIONS):
        if digest is None or (current is not None and digest == current.digest):
            continue
        manifest_id = image_rows.live_id(conn, repository.id, digest)
        deleted = rows.image(conn, repository.id, digest) if manifest_id is None else None
        if deleted is not None:
            manifest_id = deleted.id
        if manifest_id is None:
            continue  # the image was destroyed
        filters = repositories.decode_filters(repository.exclusion_filters)
        if current is not None and not may_move(repository.mutability, filters, tag):
            raise ImageTagAlreadyExists(ref, tag)
        if deleted is not None:
            _restore(conn, change, deleted)
        _point(conn, change, tag, manifest_id, digest)
        events.record(
            conn, vocabulary.TagRestored(at=at, by=by, **events.of_repository(ref), digest=digest, tag=Tag(tag))
        )
        return digest
    raise ImageNotFound.tagged_before(ref, tag)


def purge_image(conn: Connection, ref: RepositoryRef, digest: Digest, *, by: str, at: float) -> list[Digest]:
    """Destroy a deleted image. RepositoryNotFound, ImageNotFound.

    For an index, also destroy the images that `restore_image` would restore with it, unless another index of the
    repository names them, and return their digests. The repository loses each config and layer that nothing else in it
    references, even if a push that is under way counts on it. Referrers are images of their own.
    """
    repository_id = repositories.require_id(conn, ref)
    row = rows.image(conn, repository_id, digest)
    if row is None:
        raise ImageNotFound.deleted(ref, digest)
    others: list[Digest] = []
    doomed = [row]
    while doomed:  # a loop, because clients choose how deep indexes are nested
        image = doomed.pop()
        children = rows.deleted_children(conn, repository_id, image.id, since=image.deleted_at)
        _destroy(conn, ref, repository_id, image, by, at)
        for child in children:
            if _is_only_deleted(conn, repository_id, child.digest):
                others.append(child.digest)
                doomed.append(child)
    return others


def _destroy(
    conn: Connection, ref: RepositoryRef, repository_id: int, image: DeletedImageRow, by: str, at: float
) -> None:
    """Destroy one deleted image, and detach the blobs that only it referenced."""
    blobs = rows.destroy_image(conn, image.id)
    detached = layer_rows.detach_unreferenced(conn, repository_id, blobs)
    blob_rows.orphan(conn, detached, at)
    events.record(conn, vocabulary.ImagePurged(at=at, by=by, **events.of_repository(ref), digest=image.digest))


def _is_only_deleted(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether the image exists only in the trash, and no index of the repository names it."""
    return image_rows.live_id(conn, repository_id, digest) is None and not rows.is_child(conn, repository_id, digest)


def destroy_expired_images(conn: Connection, manifest_ids: Sequence[int], *, before: float, at: float) -> None:
    """Destroy those of the images that were deleted before `before`. Their layers stay for a grace period."""
    layer_rows.renew_of_manifests(conn, manifest_ids, at)
    for ref, digest in rows.destroy_expired(conn, manifest_ids, before):
        of = events.of_repository(ref)
        events.record(conn, vocabulary.ImagePurged(at=at, by=events.SERVER, **of, digest=digest))


def destroy_expired_repositories(conn: Connection, ids: Sequence[int], *, before: float, at: float) -> None:
    """Destroy those of the repositories that were deleted before `before`, with everything in them."""
    for ref in repository_trash.destroy_expired(conn, ids, before):
        events.record(conn, vocabulary.RepositoryPurged(at=at, by=events.SERVER, **events.of_repository(ref)))


def _restore(conn: Connection, change: _Change, row: DeletedImageRow) -> RestoredImage:
    """Restore an image, and with an index what it names that was deleted with it or later."""
    tags = _restore_one(conn, change, row)
    others: list[Digest] = []
    parents = [row]
    while parents:  # a loop, because clients choose how deep indexes are nested
        parent = parents.pop()
        for child in rows.deleted_children(conn, change.repository.id, parent.id, since=parent.deleted_at):
            if image_rows.live_id(conn, change.repository.id, child.digest) is None:
                _restore_one(conn, change, child)
                others.append(child.digest)
                parents.append(child)
    return RestoredImage(tags, others)


def _restore_one(conn: Connection, change: _Change, row: DeletedImageRow) -> list[Tag]:
    """Restore one image with those of its tags that do not exist now. Return these tags."""
    repository_id = change.repository.id
    if image_rows.reaches(conn, repository_id, change.settings.images_per_repository):
        raise quota_exceeded(f"a repository may have {change.settings.images_per_repository} images")
    missing = layer_rows.bring_back(conn, repository_id, row.id)
    lost = [digest for digest, media_type in missing if not is_nondistributable(media_type)]
    if lost:
        raise LayersLost(row.digest, list(dict.fromkeys(lost)))
    image_rows.restore(conn, repository_id, row.id)
    tags = list(_own_tags(conn, repository_id, row))
    for name in tags:
        _point(conn, change, name, row.id, row.digest)
    of = events.of_repository(change.ref)
    events.record(conn, vocabulary.ImageRestored(at=change.at, by=change.by, **of, digest=row.digest))
    return tags


def _own_tags(conn: Connection, repository_id: int, row: DeletedImageRow) -> Iterator[Tag]:
    """Yield the tags that were deleted with the image, and that do not exist now."""
    for name in rows.tags_deleted_at(conn, repository_id, row.deleted_at):
        if tag_rows.find(conn, repository_id, name) is None:
            revisions = rows.tag_revisions(conn, repository_id, name, 2)
            if next((digest for digest in revisions if digest), None) == row.digest:
                yield name


def _point(conn: Connection, change: _Change, tag: str, manifest_id: int, digest: Digest) -> None:
    if tag_rows.count(conn, manifest_id) >= change.settings.tags_per_image:
        raise quota_exceeded(f"an image may have {change.settings.tags_per_image} tags")
    tag_rows.point(conn, change.repository.id, tag, manifest_id, digest, change.at, change.by)
