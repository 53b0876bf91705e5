"""Statements about images and tags that were deleted and can be restored."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select

from moorage.names import AccountId, Digest, Region, RepositoryName, RepositoryRef, Tag
from moorage.store.metadata.database.statement import first_row, rows
from moorage.store.metadata.tables import DELETED_AT, manifest_references, manifests, repositories, tag_history


class DeletedImageRow(NamedTuple):
    """An image in the trash."""

    id: int
    digest: Digest
    deleted_at: float


class _DestroyedRow(NamedTuple):
    account: AccountId
    region: Region
    name: RepositoryName
    digest: Digest


_IN_TRASH = manifests.c.deleted_at.is_not(None)
_IMAGE = select(manifests.c.id, manifests.c.digest, manifests.c.deleted_at)
_LAST_DELETED_FIRST = (manifests.c.deleted_at.desc(), manifests.c.id.desc())


def image(conn: Connection, repository_id: int, digest: str) -> DeletedImageRow | None:
    """Return the image of that digest that was deleted last, or None."""
    here = (manifests.c.repository_id == repository_id, manifests.c.digest == digest)
    statement = _IMAGE.where(*here, _IN_TRASH).order_by(*_LAST_DELETED_FIRST)
    return first_row(conn, statement.limit(1), DeletedImageRow)


def deleted_children(
    conn: Connection, repository_id: int, manifest_id: int, *, since: float
) -> Sequence[DeletedImageRow]:
    """Return the images that the index `manifest_id` names and that were deleted at `since` or later."""
    named = select(manifest_references.c.digest).where(
        manifest_references.c.manifest_id == manifest_id, manifest_references.c.kind == "child"
    )
    here = (manifests.c.repository_id == repository_id, manifests.c.digest.in_(named))
    statement = _IMAGE.where(*here, manifests.c.deleted_at >= since).order_by(*_LAST_DELETED_FIRST)
    return rows(conn, statement, DeletedImageRow)


def is_child(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether an index of the repository, live or in the trash, names the image of that digest."""
    named = exists().where(
        manifest_references.c.repository_id == repository_id,
        manifest_references.c.digest == digest,
        manifest_references.c.kind == "child",
    )
    return bool(conn.execute(select(named)).scalar_one())


def destroy_image(conn: Connection, manifest_id: int) -> list[str]:
    """Delete the manifest with its references; return the digests of the blobs that it named."""
    statement = select(manifest_references.c.digest).where(
        manifest_references.c.manifest_id == manifest_id, manifest_references.c.kind != "child"
    )
    blobs = list(conn.execute(statement.distinct()).scalars())
    conn.execute(delete(manifests).where(manifests.c.id == manifest_id))
    return blobs


def tags_deleted_at(conn: Connection, repository_id: int, at: float) -> list[Tag]:
    """Return the tags that were deleted at exactly this time."""
    table = tag_history
    statement = select(table.c.name).where(
        table.c.repository_id == repository_id, table.c.at == at, table.c.digest.is_(None)
    )
    return [Tag(name) for name in conn.execute(statement).scalars()]


def tag_revisions(conn: Connection, repository_id: int, name: str, limit: int) -> list[Digest | None]:
    """Return the last `limit` digests that the tag pointed at, newest first; None where it was deleted."""
    table = tag_history
    statement = select(table.c.digest).where(table.c.repository_id == repository_id, table.c.name == name)
    newest_first = statement.order_by(table.c.id.desc()).limit(limit)
    return [None if digest is None else Digest(digest) for digest in conn.execute(newest_first).scalars()]


def expired(conn: Connection, before: float, limit: int) -> list[int]:
    """Return the ids of manifests that were deleted before `before`."""
    statement = select(manifests.c.id).where(manifests.c.deleted_at < before).order_by(manifests.c.deleted_at)
    return list(conn.execute(statement.limit(limit)).scalars())


def next_with_trash(conn: Connection, after: int) -> int | None:
    """Return the next repository after the id `after` that has deleted images, or None."""
    here = (_IN_TRASH, manifests.c.repository_id > after)
    statement = select(manifests.c.repository_id).where(*here).order_by(manifests.c.repository_id).limit(1)
    return conn.execute(statement).scalar_one_or_none()


def surplus(conn: Connection, repository_id: int, most: int, limit: int) -> list[tuple[int, float]]:
    """Return the id and deletion time of the repository's deleted images beyond the `most` that were deleted last."""
    newest_first = (
        select(manifests.c.id, manifests.c.deleted_at)
        .where(_IN_TRASH, manifests.c.repository_id == repository_id)
        .order_by(DELETED_AT.desc())
    )
    return [(row.id, row.deleted_at) for row in conn.execute(newest_first.offset(most).limit(limit))]


def destroy_expired(conn: Connection, manifest_ids: Sequence[int], before: float) -> list[tuple[RepositoryRef, Digest]]:
    """Destroy those of the manifests that were deleted before `before`, and return them."""
    expired = (manifests.c.id.in_(manifest_ids), manifests.c.deleted_at < before)
    columns = (repositories.c.account, repositories.c.region, repositories.c.name, manifests.c.digest)
    statement = select(*columns).join(manifests, manifests.c.repository_id == repositories.c.id).where(*expired)
    found = rows(conn, statement, _DestroyedRow)
    conn.execute(delete(manifests).where(*expired))
    return [(RepositoryRef(row.account, row.region, row.name), row.digest) for row in found]
