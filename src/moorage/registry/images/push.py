"""A push of a manifest and its tags: every check and every row of it in one transaction."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from moorage.errors import (
    ImageAlreadyExists,
    ImageTagAlreadyExists,
    LayersNotFound,
    LimitExceeded,
    ReferencedImagesNotFound,
    RepositoryNotFound,
)
from moorage.names import Digest, RepositoryRef
from moorage.registry import events
from moorage.registry.images.manifest_document import MANIFESTS, ManifestDocument, Reference
from moorage.registry.images.tag_mutability import may_move
from moorage.registry.images.types import Manifest, Put
from moorage.settings import Settings
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.repositories import repositories as repository_rows

_LARGEST = 2**63 - 1


class Push(NamedTuple):
    """A manifest on its way into a repository."""

    ref: RepositoryRef
    body: bytes
    document: ManifestDocument
    digest: Digest
    tags: tuple[str, ...]
    """Each once."""
    by: str
    at: float
    ecr: bool
    """By ECR's rules, not the OCI specification's."""
    refuses_again: bool
    """Pushing what is there already is ImageAlreadyExists, as the ECR API has it."""


def push(conn: Connection, given: Push, settings: Settings) -> Put:
    """Make the manifest and all its tags visible in the repository. Runs in a transaction."""
    repository = repository_rows.mutability(conn, given.ref)
    if repository is None:
        raise RepositoryNotFound(given.ref)
    stored = image_rows.stored(conn, repository.id, given.digest)
    living = stored is not None and stored.deleted_at is None
    pointing = {tag: tag_rows.find(conn, repository.id, tag) for tag in given.tags}
    missing = [tag for tag, row in pointing.items() if not (living and row is not None and row.digest == given.digest)]
    for tag, row in pointing.items():
        _check_tag(given, repository, tag, row)
    resolved = _resolve(conn, given, repository.id)  # also of an image that is there: the client may repair it
    if stored is not None and living and not missing:
        if given.refuses_again:
            raise ImageAlreadyExists(given.ref, given.digest, given.tags[0] if given.tags else None)
        return _put(given, stored.id, created=False)
    if stored is not None and living:
        manifest_id = int(stored.id)
    else:
        manifest_id = _store(conn, given, repository, stored, resolved, settings)
    if missing and tag_rows.count(conn, manifest_id) + len(missing) > settings.tags_per_image:
        raise over_quota(f"an image may have {settings.tags_per_image} tags")
    for tag in missing:
        tag_rows.point(conn, repository.id, tag, manifest_id, given.digest, given.at, given.by)
    for name in missing or (None,):  # one event for each tag, as ECR sends them
        events.record(conn, given.ref, "image.pushed", _event(given, name), at=given.at)
    return _put(given, manifest_id, created=not living)


def _put(given: Push, manifest_id: int, *, created: bool) -> Put:
    tag = given.tags[0] if given.tags else None
    manifest = Manifest(manifest_id, given.digest, given.document.media_type, given.body, tag)
    return Put(manifest, given.document.subject, created)


def _check_tag(given: Push, repository: Any, tag: str, pointing: Any | None) -> None:
    """Raise ImageTagAlreadyExists if the tag stands for another image and may not move."""
    if pointing is None or pointing.digest == given.digest:
        return
    if not may_move(repository.mutability, json.loads(repository.exclusion_filters), tag):
        raise ImageTagAlreadyExists(given.ref, tag)


def _store(
    conn: Connection, given: Push, repository: Any, trashed: Any | None, resolved: "_Resolved", settings: Settings
) -> int:
    """Add the manifest, or bring it back from the trash; return its id."""
    if image_rows.reaches(conn, repository.id, settings.images_per_repository):
        raise over_quota(f"a repository may have {settings.images_per_repository} images")
    document = given.document
    values: dict[str, Any] = {
        "repository_id": repository.id,
        "digest": given.digest,
        "media_type": document.media_type,
        "body": given.body,
        "image_size": min(resolved.size, _LARGEST),
        "artifact_type": document.artifact_type,
        "config_media_type": document.config_media_type,
        "subject": document.subject,
        "annotations": None if document.annotations is None else _json(document.annotations),
        "pushed_at": given.at,
        "pushed_by": given.by,
    }
    rows = [
        {"kind": each.kind, "digest": each.digest, "media_type": each.media_type, "size": each.size}
        for each in resolved.references
    ]
    if trashed is None:
        return image_rows.add(conn, values, rows)
    image_rows.push_again(conn, trashed.id, values, rows)
    return int(trashed.id)


def _json(annotations: Mapping[str, str]) -> str:
    """At most as long as it is in the manifest: without escapes that it did not have."""
    return msgspec.json.encode(annotations).decode()


class _Resolved(NamedTuple):
    """What a manifest names, all of which the repository has."""

    references: list[Reference]
    size: int
    """Of the image, as DescribeImages returns it."""


def _resolve(conn: Connection, given: Push, repository_id: int) -> _Resolved:
    """Find everything that the manifest names.

    Raises LayersNotFound, ReferencedImagesNotFound. By the OCI rules an index may name blobs too (BuildKit's cache).
    """
    references = given.document.references
    children = {each.digest for each in references if each.kind == "child"}
    child_sizes = image_rows.sizes(conn, repository_id, children) if children else {}
    blobs = {each.digest for each in references if each.kind != "child" or each.digest not in child_sizes}
    blob_sizes = layer_rows.sizes(conn, repository_id, blobs) if blobs else {}

    resolved: list[Reference] = []
    missing_layers: list[str] = []
    missing_images: list[str] = []
    for each in references:
        if each.kind != "child":
            if each.digest not in blob_sizes and not each.foreign:
                missing_layers.append(each.digest)
            resolved.append(each)
        elif each.digest in child_sizes:
            resolved.append(each)
        elif each.digest in blob_sizes and not given.ecr and each.media_type not in MANIFESTS:
            resolved.append(Reference("layer", each.digest, each.media_type, each.size, foreign=False))
        else:
            missing_images.append(each.digest)
    if missing_layers:
        raise LayersNotFound.required(given.ref, list(dict.fromkeys(missing_layers)))
    if missing_images:
        raise ReferencedImagesNotFound(given.ref, list(dict.fromkeys(missing_images)))
    if given.document.is_index:
        return _Resolved(resolved, max(child_sizes.values(), default=0))
    return _Resolved(resolved, sum(each.size or blob_sizes.get(each.digest, 0) for each in resolved))


def _event(given: Push, tag: str | None) -> Mapping[str, object]:
    document = given.document
    return {
        "digest": given.digest,
        "tag": tag,
        "mediaType": document.media_type,
        "artifactType": document.artifact_type,
        "subject": document.subject,
    }


def over_quota(rule: str) -> LimitExceeded:
    """The refusal of what would break `rule`, one of ECR's quotas."""
    return LimitExceeded(f"The operation did not succeed because it would have exceeded a service limit: {rule}")
