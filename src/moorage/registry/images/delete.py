"""Deleting images and tags, softly: the rows stay in the trash until the sweep destroys them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from moorage.errors import ImageReferencedByManifestList, InvalidParameter, RepositoryNotFound
from moorage.names import RepositoryRef
from moorage.registry import events
from moorage.registry.images.bounds import PAGE_TAGS
from moorage.registry.images.types import Failure, ImageId, malformed, not_found, other_digest
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.repositories import repositories as repository_rows

MOST_PARENTS = 100
"""Indexes that one refusal names."""


class Deletion(NamedTuple):
    """Images and tags to delete from a repository."""

    ref: RepositoryRef
    ids: Sequence[ImageId]
    by: str
    at: float
    ecr: bool
    """By ECR's rules: an image goes with its last tag, and not while an index names it."""


class _Target(NamedTuple):
    id: ImageId
    manifest_id: int
    digest: str


def delete(conn: Connection, given: Deletion) -> tuple[list[ImageId], list[Failure]]:
    """What was deleted, one entry a tag (or one for an untagged image), and what was not. Runs in a transaction.

    InvalidParameter when that is more than `PAGE_TAGS` entries.
    """
    repository = repository_rows.find(conn, given.ref)
    if repository is None:
        raise RepositoryNotFound(given.ref)
    targets: list[_Target] = []
    failures: list[Failure] = []
    for image in dict.fromkeys(given.ids):
        target = _target(conn, repository.id, image)
        if isinstance(target, Failure):
            failures.append(target)
        else:
            targets.append(target)
    # Before anything goes: an index deleted by the same request does not free its children
    # (docs/development/ecr-behavior.md §6).
    named = {target.digest for target in targets} if given.ecr else set()
    parents = image_rows.parents(conn, repository.id, named, MOST_PARENTS)
    deleted: list[ImageId] = []
    gone: set[int] = set()
    for target in targets:
        if target.manifest_id in gone:
            continue  # an earlier id of this request took it
        tags = tag_rows.of_manifests(conn, [target.manifest_id]).get(target.manifest_id, [])
        doomed = tags if target.id.tag is None else [target.id.tag]
        whole = target.id.tag is None or (given.ecr and tags == doomed)
        if whole and target.digest in parents:
            failures.append(_referenced(target.id, parents[target.digest]))
            continue
        if len(deleted) + len(doomed) > PAGE_TAGS and deleted:
            raise too_many_tags()
        if doomed == tags:
            tag_rows.remove_all(conn, repository.id, target.manifest_id, tags, given.at, given.by)
        else:
            for tag in doomed:
                tag_rows.remove(conn, repository.id, tag, given.at, given.by)
        if whole:
            image_rows.trash(conn, repository.id, target.manifest_id, given.at, given.by)
            gone.add(target.manifest_id)
        deleted += [ImageId(target.digest, tag) for tag in doomed] or [ImageId(target.digest)]
        payload = {"digest": target.digest, "tags": doomed, "image": whole}
        events.record(conn, given.ref, "image.deleted", payload, at=given.at)
    return deleted, failures


def too_many_tags() -> InvalidParameter:
    """The refusal of a request whose answer would list too many tags."""
    return InvalidParameter.at("imageIds", f"Member must name images that have at most {PAGE_TAGS} tags together")


def _target(conn: Connection, repository_id: int, image: ImageId) -> _Target | Failure:
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
    assert image.digest is not None  # noqa: S101 - else it was malformed
    stored = image_rows.stored(conn, repository_id, image.digest)
    if stored is None or stored.deleted_at is not None:
        return not_found(image)
    return _Target(image, stored.id, image.digest)


def _referenced(image: ImageId, parents: Sequence[str]) -> Failure:
    return Failure(image, "ImageReferencedByManifestList", ImageReferencedByManifestList(parents).message)
