"""Deleting images and tags. They go to the trash, from which they can be restored for a while."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.errors import ImageReferencedByManifestList, InvalidParameter
from moorage.events import registry as vocabulary
from moorage.names import Digest, RepositoryRef, Tag
from moorage.registry.images.types import PAGE_TAGS, ImageFailure, ImageId, malformed, not_found, other_digest
from moorage.registry.repositories import rules as repositories
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows

MAX_PARENTS: Final = 100
"""Indexes that one refusal names."""


class Deletion(NamedTuple):
    """Images and tags to delete from a repository."""

    ref: RepositoryRef
    ids: Sequence[ImageId]
    ecr: bool
    """Follow ECR's rules: an image is deleted with its last tag, and not while an index names it."""


class _Target(NamedTuple):
    id: ImageId
    manifest_id: int
    digest: Digest


def delete(conn: Connection, given: Deletion, *, by: str, at: float) -> tuple[list[ImageId], list[ImageFailure]]:
    """Delete images and tags. Return what was deleted, one entry for each tag (or untagged image), and the failures.

    `by` is the principal who deletes, `at` the time in seconds since the epoch. RepositoryNotFound; InvalidParameter if
    there are more than `PAGE_TAGS` entries, except when one image has them all.
    """
    repository_id = repositories.require_id(conn, given.ref)
    targets: list[_Target] = []
    failures: list[ImageFailure] = []
    for image in dict.fromkeys(given.ids):
        target = _target(conn, repository_id, image)
        if isinstance(target, ImageFailure):
            failures.append(target)
        else:
            targets.append(target)
    # Looked up before anything is deleted: deleting an index does not free its children for the same request
    # (docs/development/ecr-behavior.md §6).
    named = {target.digest for target in targets} if given.ecr else set()
    parents = image_rows.parents(conn, repository_id, named, MAX_PARENTS)
    deleted: list[ImageId] = []
    gone: set[int] = set()
    for target in targets:
        if target.manifest_id in gone:
            continue  # deleted by an earlier id of this request
        tags = tag_rows.of_manifests(conn, [target.manifest_id]).get(target.manifest_id, [])
        doomed = tags if target.id.tag is None else [target.id.tag]
        whole = target.id.tag is None or (given.ecr and tags == doomed)
        if whole and target.digest in parents:
            failures.append(_referenced(target.id, parents[target.digest]))
            continue
        if len(deleted) + len(doomed) > PAGE_TAGS and deleted:
            raise too_many_tags()
        if doomed == tags:
            tag_rows.remove_all(conn, repository_id, target.manifest_id, tags, at, by)
        else:
            for tag in doomed:
                tag_rows.remove(conn, repository_id, tag, at, by)
        if whole:
            image_rows.move_to_trash(conn, repository_id, target.manifest_id, at, by)
            gone.add(target.manifest_id)
        deleted += [ImageId(target.digest, tag) for tag in doomed] or [ImageId(target.digest)]
        event = vocabulary.ImageDeleted if whole else vocabulary.ImageUntagged
        of = events.of_repository(given.ref)
        events.record(conn, event(at=at, by=by, **of, digest=target.digest, tags=tuple(map(Tag, doomed))))
    return deleted, failures


def too_many_tags() -> InvalidParameter:
    """Return the error for a request whose answer would list too many tags."""
    return InvalidParameter.at("imageIds", f"Member must name images that have at most {PAGE_TAGS} tags together")


def _target(conn: Connection, repository_id: int, image: ImageId) -> _Target | ImageFailure:
    failure = malformed(image)
    if failure is not None:
        return failure
    if image.tag is not None:
        tag = tag_rows.find(conn, repository_id, image.tag)
        if tag is None:
            return not_found(image)
        if image.digest is not None and image.digest != tag.digest:
            return other_digest(image)
        return _Target(image, tag.manifest_id, tag.digest)
    assert image.digest is not None  # noqa: S101 - otherwise it is malformed
    manifest_id = image_rows.live_id(conn, repository_id, image.digest)
    return not_found(image) if manifest_id is None else _Target(image, manifest_id, Digest(image.digest))


def _referenced(image: ImageId, parents: Sequence[str]) -> ImageFailure:
    return ImageFailure(image, "ImageReferencedByManifestList", ImageReferencedByManifestList(parents).message)
