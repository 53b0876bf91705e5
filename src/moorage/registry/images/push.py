"""Pushing a manifest and its tags: every check and every row in one transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from moorage import events
from moorage.errors import (
    ImageAlreadyExists,
    ImageDigestDoesNotMatch,
    ImageTagAlreadyExists,
    InvalidParameter,
    LayersNotFound,
    LimitExceeded,
    ReferencedImagesNotFound,
    RepositoryNotFound,
)
from moorage.events import registry as vocabulary
from moorage.names import Digest, RepositoryRef, Tag
from moorage.registry.images.manifest_document import MANIFESTS, ManifestDocument, Reference, read_manifest
from moorage.registry.images.tag_mutability import may_move
from moorage.registry.images.types import Manifest, PushResult
from moorage.registry.quotas import quota_exceeded
from moorage.registry.repositories.rules import decode_filters
from moorage.settings import Settings
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images import tags as tag_rows
from moorage.store.metadata.images.images import NewManifestRow, ReferenceRow, StoredRow
from moorage.store.metadata.images.tags import TagRow
from moorage.store.metadata.layers import layers as layer_rows
from moorage.store.metadata.repositories import repositories as repository_rows
from moorage.store.metadata.repositories.repositories import MutabilityRow

MAX_REFERENCES: Final = 4_201
"""Layers of an image and its config. ECR allows 4,200 layers (docs/development/ecr-behavior.md §2)."""
_MAX_SIZE: Final = 2**63 - 1


class Push(NamedTuple):
    """A manifest that was read and checked, and can be pushed into a repository. `prepare` makes one."""

    ref: RepositoryRef
    body: bytes
    document: ManifestDocument
    digest: Digest
    tags: tuple[str, ...]
    """Each once."""
    ecr: bool
    """Follow ECR's rules rather than those of the OCI specification."""
    refuses_again: bool
    """Raise ImageAlreadyExists if the image and its tags exist already, as PutImage does."""


def prepare(
    ref: RepositoryRef,
    body: bytes,
    *,
    media_type: str | None,
    tags: Sequence[str] = (),
    digest: str | None = None,
    ecr: bool,
    refuses_again: bool = False,
) -> Push:
    """Read and check a manifest, as far as that needs no stored state.

    `media_type`: the type it was sent as; None if the client named none. `digest`: the digest it must have, if given.
    `ecr` and `refuses_again` as in `Push`. InvalidParameter, ImageDigestDoesNotMatch, LimitExceeded.
    """
    document = read_manifest(body, media_type, ecr=ecr)
    if ecr and not document.is_index and document.layer_count == 0:
        raise InvalidParameter.at("ImageManifest", "Image has to have at least 1 layer")
    if len(document.references) > MAX_REFERENCES:
        raise LimitExceeded(f"A manifest may name at most {MAX_REFERENCES} layers or images")
    actual = _digest(body, digest)
    if digest is not None and digest != actual:
        raise ImageDigestDoesNotMatch(digest, actual)
    return Push(ref, body, document, actual, tuple(dict.fromkeys(tags)), ecr, refuses_again)


def push(conn: Connection, given: Push, settings: Settings, *, by: str, at: float) -> PushResult:
    """Make the manifest and all its tags visible in the repository.

    `by` is the principal who pushes, `at` the time in seconds since the epoch. RepositoryNotFound, LayersNotFound,
    ReferencedImagesNotFound, ImageTagAlreadyExists, ImageAlreadyExists, LimitExceeded.
    """
    repository = repository_rows.mutability(conn, given.ref)
    if repository is None:
        raise RepositoryNotFound(given.ref)
    stored = image_rows.stored(conn, repository.id, given.digest)
    live = stored is not None and stored.deleted_at is None
    pointing = {tag: tag_rows.find(conn, repository.id, tag) for tag in given.tags}
    missing = [tag for tag, row in pointing.items() if not (live and row is not None and row.digest == given.digest)]
    for tag, row in pointing.items():
        _check_tag(given, repository, tag, row)
    resolved = _resolve(conn, given, repository.id)  # even if the image exists: its layers may have to be repaired
    if stored is not None and live and not missing:
        if given.refuses_again:
            raise ImageAlreadyExists(given.ref, given.digest, given.tags[0] if given.tags else None)
        return _result(given, stored.id, created=False)
    if stored is not None and live:
        manifest_id = stored.id
    else:
        manifest_id = _store(conn, given, repository.id, stored, resolved, settings, by, at)
    if missing and tag_rows.count(conn, manifest_id) + len(missing) > settings.tags_per_image:
        raise quota_exceeded(f"an image may have {settings.tags_per_image} tags")
    for tag in missing:
        tag_rows.point(conn, repository.id, tag, manifest_id, given.digest, at, by)
    for name in missing or (None,):  # one event for each tag, as ECR sends them
        events.record(conn, _event(given, name, by, at))
    return _result(given, manifest_id, created=not live)


def _result(given: Push, manifest_id: int, *, created: bool) -> PushResult:
    tag = given.tags[0] if given.tags else None
    manifest = Manifest(manifest_id, given.digest, given.document.media_type, given.body, tag)
    return PushResult(manifest, given.document.subject, created)


def _check_tag(given: Push, repository: MutabilityRow, tag: str, pointing: TagRow | None) -> None:
    """Raise ImageTagAlreadyExists if the tag points at another image and may not move."""
    if pointing is None or pointing.digest == given.digest:
        return
    if not may_move(repository.mutability, decode_filters(repository.exclusion_filters), tag):
        raise ImageTagAlreadyExists(given.ref, tag)


class _Resolved(NamedTuple):
    """What a manifest names, all of which the repository has."""

    references: list[Reference]
    size: int
    """Of the image, as DescribeImages returns it."""


def _store(
    conn: Connection,
    given: Push,
    repository_id: int,
    trashed: StoredRow | None,
    resolved: _Resolved,
    settings: Settings,
    by: str,
    at: float,
) -> int:
    """Insert the manifest, or bring it back from the trash; return its id."""
    if image_rows.reaches(conn, repository_id, settings.images_per_repository):
        raise quota_exceeded(f"a repository may have {settings.images_per_repository} images")
    document = given.document
    new = NewManifestRow(
        repository_id=repository_id,
        digest=given.digest,
        media_type=document.media_type,
        body=given.body,
        image_size=min(resolved.size, _MAX_SIZE),
        artifact_type=document.artifact_type,
        config_media_type=document.config_media_type,
        subject=document.subject,
        annotations=None if document.annotations is None else _json(document.annotations),
        pushed_at=at,
        pushed_by=by,
    )
    references = [ReferenceRow(each.kind, each.digest, each.media_type, each.size) for each in resolved.references]
    if trashed is None:
        return image_rows.add(conn, new, references)
    image_rows.push_again(conn, trashed.id, new, references)
    return trashed.id


def _json(annotations: Mapping[str, str]) -> str:
    """Encode without optional escapes, so that the text is no longer than it is in the manifest."""
    return msgspec.json.encode(annotations).decode()


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


def _event(given: Push, tag: str | None, by: str, at: float) -> vocabulary.ImagePushed:
    return vocabulary.ImagePushed(
        at=at,
        by=by,
        **events.of_repository(given.ref),
        digest=given.digest,
        tag=None if tag is None else Tag(tag),
        media_type=given.document.media_type,
        artifact_type=given.document.artifact_type,
        subject=given.document.subject,
    )


def _digest(body: bytes, like: str | None) -> Digest:
    """Return the digest of `body` in the algorithm of the digest `like`; SHA-256 without one."""
    if like is not None and like.startswith("sha512:"):
        return Digest(f"sha512:{hashlib.sha512(body).hexdigest()}")
    return Digest(f"sha256:{hashlib.sha256(body).hexdigest()}")
