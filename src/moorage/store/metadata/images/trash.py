"""Statements about what was deleted and can still come back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, select

from moorage.store.metadata.tables import manifest_references, manifests, tag_history


def image(conn: Connection, repository_id: int, digest: str) -> Row[*tuple[Any, ...]] | None:
    """The image of that digest that was deleted last (id, digest, deleted_at), or None."""
    return conn.execute(
        select(manifests.c.id, manifests.c.digest, manifests.c.deleted_at)
        .where(
            manifests.c.repository_id == repository_id,
            manifests.c.digest == digest,
            manifests.c.deleted_at.is_not(None),
        )
        .order_by(manifests.c.deleted_at.desc(), manifests.c.id.desc())
        .limit(1)
    ).one_or_none()


def deleted_children(
    conn: Connection, repository_id: int, manifest_id: int, *, since: float
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Of the images that the index `manifest_id` names: those deleted at `since` or later (id, digest, deleted_at)."""
    named = select(manifest_references.c.digest).where(
        manifest_references.c.manifest_id == manifest_id, manifest_references.c.kind == "child"
    )
    return conn.execute(
        select(manifests.c.id, manifests.c.digest, manifests.c.deleted_at)
        .where(
            manifests.c.repository_id == repository_id, manifests.c.digest.in_(named), manifests.c.deleted_at >= since
        )
        .order_by(manifests.c.deleted_at.desc(), manifests.c.id.desc())
    ).all()


def is_child(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether an index of the repository, living or in the trash, names the image of that digest."""
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


def living_image(conn: Connection, repository_id: int, digest: str) -> int | None:
    """The id of the image of that digest that is not deleted, or None."""
    return conn.execute(
        select(manifests.c.id).where(
            manifests.c.repository_id == repository_id, manifests.c.digest == digest, manifests.c.deleted_at.is_(None)
        )
    ).scalar_one_or_none()


def tags_lost_at(conn: Connection, repository_id: int, at: float) -> list[str]:
    """The tags that were removed at that very moment."""
    table = tag_history
    statement = select(table.c.name).where(
        table.c.repository_id == repository_id, table.c.at == at, table.c.digest.is_(None)
    )
    return list(conn.execute(statement).scalars())


def past_of_tag(conn: Connection, repository_id: int, name: str, limit: int) -> list[str | None]:
    """The last `limit` digests that the tag stood for, the latest first; None where it was removed."""
    table = tag_history
    statement = select(table.c.digest).where(table.c.repository_id == repository_id, table.c.name == name)
    return list(conn.execute(statement.order_by(table.c.id.desc()).limit(limit)).scalars())
