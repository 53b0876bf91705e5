"""Statements about layers: which blob belongs to which repository."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Exists, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import (
    blob_contents,
    blobs,
    layers,
    manifest_references,
    manifests,
    repositories,
    uploads,
)

Use = Literal["used", "awaited", "unused"]
"""Whether a layer is still needed: `awaited` by a push that is under way, whose manifest is still to come."""


class Times(NamedTuple):
    """When a layer that no manifest references counts as old, and before that, when it expires."""

    expired: float
    old: float


class LayerRow(NamedTuple):
    """A layer of a repository, and where its bytes are."""

    repository_id: int
    digest: str
    size: int
    object_key: str
    """The object of the blob store; empty when the metadata keep the bytes."""
    content: bytes | None
    """The bytes, when the metadata keep them and have not lost them."""


class StoredLayer(NamedTuple):
    """A layer of a repository, and how many of its bytes the metadata keep."""

    digest: str
    size: int
    object_key: str
    kept: int | None
    """None: the metadata keep none."""


_SHOWN = layers.c.deleted_at.is_(None)
_REFERENCED = exists().where(
    manifest_references.c.repository_id == layers.c.repository_id, manifest_references.c.digest == layers.c.digest
)
_CALLED = (  # by one of the manifests: a layer may be in each of a hundred thousand
    select(manifest_references.c.media_type)
    .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
    .where(
        manifest_references.c.repository_id == layers.c.repository_id,
        manifest_references.c.digest == layers.c.digest,
        manifest_references.c.kind != "child",
        manifests.c.deleted_at.is_(None),
    )
    .limit(1)
    .correlate(layers)
    .scalar_subquery()
)
_FIND = Query(
    select(layers.c.repository_id, layers.c.digest, layers.c.size, blobs.c.object_key, blob_contents.c.content)
    .join(repositories, repositories.c.id == layers.c.repository_id)
    .join(blobs, blobs.c.digest == layers.c.digest)
    .outerjoin(blob_contents, blob_contents.c.digest == layers.c.digest)
    .where(
        repositories.c.account == bindparam("account"),
        repositories.c.region == bindparam("region"),
        repositories.c.name == bindparam("name"),
        repositories.c.deleted_at.is_(None),
        layers.c.digest == bindparam("digest"),
        _SHOWN,
    ),
    LayerRow,
)
_HOLDS = Query(
    select(layers.c.digest).where(
        layers.c.repository_id == bindparam("repository_id"), layers.c.digest == bindparam("digest"), _SHOWN
    )
)
_SIZES = Query(
    select(layers.c.digest, layers.c.size).where(
        layers.c.repository_id == bindparam("repository_id"),
        layers.c.digest.in_(bindparam("digests", expanding=True)),
        _SHOWN,
    )
)
_STORED = Query(
    select(
        layers.c.digest,
        layers.c.size,
        blobs.c.object_key,
        func.length(blob_contents.c.content).label("kept"),
    )
    .join(blobs, blobs.c.digest == layers.c.digest)
    .outerjoin(blob_contents, blob_contents.c.digest == layers.c.digest)
    .where(
        layers.c.repository_id == bindparam("repository_id"),
        layers.c.digest.in_(bindparam("digests", expanding=True)),
        _SHOWN,
    ),
    StoredLayer,
)
_RENEW = Change(
    update(layers)
    .where(layers.c.repository_id == bindparam("repository"), layers.c.digest == bindparam("of"))
    .values(added_at=bindparam("added_at"), deleted_at=None)
)
_NEW: Final[dict[str, Any]] = {name: bindparam(name) for name in ("repository_id", "digest", "size", "added_at")}
_ADD = Change(
    sqlite.insert(layers).values(_NEW).on_conflict_do_nothing(),
    postgresql=postgresql.insert(layers).values(_NEW).on_conflict_do_nothing(),
)


def find(conn: Connection, ref: RepositoryRef, digest: str) -> LayerRow | None:
    """Return the layer of the repository; None when it has no such layer, or there is no such repository."""
    return _FIND.first(conn, {"digest": digest, **ref._asdict()})


def holds(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether the repository has the layer."""
    return _HOLDS.first(conn, {"repository_id": repository_id, "digest": digest}) is not None


def sizes(conn: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Return the sizes of those of `digests` that belong to the repository."""
    values = {"repository_id": repository_id, "digests": list(digests)}
    return {row.digest: row.size for row in _SIZES.all(conn, values)}


def stored(conn: Connection, repository_id: int, digests: Iterable[str]) -> list[StoredLayer]:
    """Return those of `digests` that belong to the repository, and where their bytes should be."""
    return _STORED.all(conn, {"repository_id": repository_id, "digests": list(digests)})


def media_types(conn: Connection, repository_id: int, digests: Sequence[str]) -> dict[str, str]:
    """Return the media types of those of `digests` that the repository has and that one of its manifests references."""
    statement = select(layers.c.digest, _CALLED.label("media_type")).where(
        layers.c.repository_id == repository_id, layers.c.digest.in_(digests), _SHOWN
    )
    return {row.digest: row.media_type for row in conn.execute(statement) if row.media_type is not None}


def attach(conn: Connection, repository_id: int, digest: str, size: int, at: float) -> bool:
    """Attach the blob to the repository, or renew it at `at` if it is attached; return whether it was not."""
    if _ADD.run(conn, {"repository_id": repository_id, "digest": digest, "size": size, "added_at": at}):
        return True
    _RENEW.run(conn, {"repository": repository_id, "of": digest, "added_at": at})
    return False


def delete_or_hide(conn: Connection, repository_id: int, digest: str, at: float) -> None:
    """Delete the layer of the repository; hide it while a manifest in the trash references it."""
    here = (layers.c.repository_id == repository_id, layers.c.digest == digest)
    if not conn.execute(delete(layers).where(*here, ~_REFERENCED)).rowcount:
        conn.execute(update(layers).where(*here).values(deleted_at=at))


def bring_back(conn: Connection, repository_id: int, manifest_id: int) -> list[tuple[str, str]]:
    """Show the hidden layers that the manifest references.

    Returns digest and media type of each reference to a config or layer that the repository still lacks.
    """
    of = (manifest_references.c.manifest_id == manifest_id, manifest_references.c.kind != "child")
    named = select(manifest_references.c.digest).where(*of)
    here = (layers.c.repository_id == repository_id, layers.c.digest.in_(named))
    conn.execute(update(layers).where(*here, ~_SHOWN).values(deleted_at=None))
    held = exists().where(layers.c.repository_id == repository_id, layers.c.digest == manifest_references.c.digest)
    missing = select(manifest_references.c.digest, manifest_references.c.media_type).where(*of, ~held)
    return [(row.digest, row.media_type) for row in conn.execute(missing.order_by(manifest_references.c.position))]


def holders(conn: Connection, ref: RepositoryRef, digest: str, limit: int) -> list[str]:
    """Return the names of other repositories of the same account and region that have the blob, oldest first."""
    statement = (
        select(repositories.c.name)
        .join(layers, layers.c.repository_id == repositories.c.id)
        .where(
            layers.c.digest == digest,
            repositories.c.account == ref.account,
            repositories.c.region == ref.region,
            repositories.c.name != ref.name,
            repositories.c.deleted_at.is_(None),
            _SHOWN,
        )
        .order_by(repositories.c.id)
        .limit(limit)
    )
    return list(conn.execute(statement).scalars())


def page(conn: Connection, after: tuple[int, str], limit: int, times: Times) -> list[tuple[int, str, Use]]:
    """Return the next layers after (repository id, digest): both, and whether the repository still needs the layer."""
    repository_id, digest = after
    rows = conn.execute(
        select(
            layers.c.repository_id,
            layers.c.digest,
            layers.c.added_at,
            _REFERENCED.label("referenced"),
            _pushed_to(times.expired).label("pushed_to"),
        )
        .where(
            layers.c.repository_id >= repository_id,
            (layers.c.repository_id > repository_id) | (layers.c.digest > digest),
        )
        .order_by(layers.c.repository_id, layers.c.digest)
        .limit(limit)
    )
    return [(row.repository_id, row.digest, _use(row.added_at, row.referenced, row.pushed_to, times)) for row in rows]


def _use(added_at: float, referenced: bool, pushed_to: bool, times: Times) -> Use:
    if referenced or added_at >= times.old:
        return "used"
    if pushed_to:
        return "awaited"
    return "unused" if added_at < times.expired else "used"


def _pushed_to(since: float) -> Exists:
    """Return the condition that an upload to the layer's repository has grown since `since`.

    An upload that was only begun does not count: clients that are refused because the disk is full begin one after the
    other, and the space that they wait for must become free.
    """
    added = (uploads.c.updated_at >= since, uploads.c.updated_at > uploads.c.started_at)
    return exists().where(uploads.c.repository_id == layers.c.repository_id, *added)


def renew(conn: Connection, repository_id: int, digest: str, at: float) -> None:
    """Set the time at which the layer was added to `at`, so that it is kept for another grace period."""
    here = (layers.c.repository_id == repository_id, layers.c.digest == digest)
    conn.execute(update(layers).where(*here).values(added_at=at))


def detach_unused(conn: Connection, repository_id: int, digest: str, before: float) -> bool:
    """Detach the layer if it was added before `before` and neither a manifest nor a push needs it.

    Manifests in the trash count. Returns whether it was detached.
    """
    statement = delete(layers).where(
        layers.c.repository_id == repository_id,
        layers.c.digest == digest,
        layers.c.added_at < before,
        ~_REFERENCED,
        ~_pushed_to(before),
    )
    return bool(conn.execute(statement).rowcount)


def detach_unreferenced(conn: Connection, repository_id: int, digests: Sequence[str]) -> list[str]:
    """Detach those of `digests` that no manifest of the repository, living or in the trash, references.

    Returns the digests that were detached.
    """
    statement = delete(layers).where(
        layers.c.repository_id == repository_id, layers.c.digest.in_(digests), ~_REFERENCED
    )
    return list(conn.execute(statement.returning(layers.c.digest)).scalars())


def renew_of_manifests(conn: Connection, manifest_ids: Sequence[int], at: float) -> None:
    """Begin a grace period at `at` for the layers of these manifests, which are about to be destroyed."""
    mine = exists().where(
        manifest_references.c.manifest_id.in_(manifest_ids),
        manifest_references.c.repository_id == layers.c.repository_id,
        manifest_references.c.digest == layers.c.digest,
    )
    of = select(manifests.c.repository_id).where(manifests.c.id.in_(manifest_ids))
    conn.execute(update(layers).where(layers.c.repository_id.in_(of), mine).values(added_at=at))
