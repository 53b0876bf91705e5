"""Statements about image tags as they stand, and their history."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, collate, delete, func, insert, select, update

from moorage.store.metadata.tables import manifests, tag_history, tags

_FOUND: tuple[Column[Any], ...] = (tags.c.manifest_id, manifests.c.digest)


def find(conn: Connection, repository_id: int, name: str) -> Row[Any] | None:
    """What the tag stands for (manifest_id, digest), or None."""
    return conn.execute(
        select(*_FOUND)
        .join(manifests, manifests.c.id == tags.c.manifest_id)
        .where(tags.c.repository_id == repository_id, tags.c.name == name)
    ).one_or_none()


def point(conn: Connection, repository_id: int, name: str, manifest_id: int, digest: str, at: float, by: str) -> None:
    """The tag stands for this manifest from now on; its history says so."""
    moved = conn.execute(
        update(tags)
        .where(tags.c.repository_id == repository_id, tags.c.name == name)
        .values(manifest_id=manifest_id, updated_at=at)
    )
    if not moved.rowcount:
        conn.execute(
            insert(tags).values(repository_id=repository_id, name=name, manifest_id=manifest_id, updated_at=at)
        )
    _remember(conn, repository_id, name, digest, at, by)


def remove(conn: Connection, repository_id: int, name: str, at: float, by: str) -> None:
    """The tag is gone; its history says so."""
    conn.execute(delete(tags).where(tags.c.repository_id == repository_id, tags.c.name == name))
    _remember(conn, repository_id, name, None, at, by)


def _remember(conn: Connection, repository_id: int, name: str, digest: str | None, at: float, by: str) -> None:
    conn.execute(insert(tag_history).values(repository_id=repository_id, name=name, digest=digest, at=at, by=by))


def of_manifests(conn: Connection, manifest_ids: Sequence[int]) -> dict[int, list[str]]:
    """The tags of each of these manifests, sorted."""
    statement = select(tags.c.manifest_id, tags.c.name).where(tags.c.manifest_id.in_(manifest_ids))
    found: dict[int, list[str]] = {}
    for row in conn.execute(statement):
        found.setdefault(row.manifest_id, []).append(row.name)
    return {manifest_id: sorted(names) for manifest_id, names in found.items()}


def count(conn: Connection, manifest_id: int) -> int:
    return int(conn.execute(select(func.count()).where(tags.c.manifest_id == manifest_id)).scalar_one())


def names(conn: Connection, repository_id: int, after: str, limit: int) -> list[str]:
    """The next tags after `after` in ASCII order."""
    name: ColumnElement[str] = tags.c.name
    if conn.dialect.name == "postgresql":
        name = collate(tags.c.name, "C")  # SQLite compares bytes anyway
    statement = select(tags.c.name).where(tags.c.repository_id == repository_id, name > after).order_by(name)
    return list(conn.execute(statement.limit(limit)).scalars())
