"""Statements about uploads: bytes on their way to become a layer."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.tables import repositories, uploads


def begin(conn: Connection, upload_id: str, repository_id: int, at: float, by: str) -> None:
    conn.execute(
        insert(uploads).values(
            id=upload_id,
            repository_id=repository_id,
            started_at=at,
            updated_at=at,
            started_by=by,
            size=0,
            parts=0,
            small_parts=0,
            last_part_small=False,
        )
    )


def find(conn: Connection, ref: RepositoryRef, upload_id: str) -> Row[Any] | None:
    """The upload (all columns of `uploads`), or None when this repository has none of that id."""
    return conn.execute(
        select(uploads)
        .join(repositories, repositories.c.id == uploads.c.repository_id)
        .where(
            uploads.c.id == upload_id,
            repositories.c.account == ref.account,
            repositories.c.region == ref.region,
            repositories.c.name == ref.name,
            repositories.c.deleted_at.is_(None),
        )
    ).one_or_none()


def grow(
    conn: Connection, upload_id: str, was: int, size: int, sha256: str | None, at: float, *, small: bool | None
) -> bool:
    """The upload grew from `was` to `size` bytes; False (and no change) when it no longer holds `was`.

    `small`: whether what came is a part too small to stand before another; None when it is no part at all.
    """
    statement = update(uploads).where(uploads.c.id == upload_id, uploads.c.size == was)
    statement = statement.values(size=size, sha256=sha256, updated_at=at)
    changed = conn.execute(statement).rowcount == 1
    if changed and small is not None:
        row = conn.execute(
            select(uploads.c.small_parts, uploads.c.last_part_small).where(uploads.c.id == upload_id)
        ).one()
        conn.execute(
            update(uploads)
            .where(uploads.c.id == upload_id)
            .values(
                parts=uploads.c.parts + 1,
                small_parts=row.small_parts + int(row.last_part_small),
                last_part_small=small,
            )
        )
    return changed


def end(conn: Connection, upload_id: str) -> bool:
    """Forget the upload; whether there was one."""
    return bool(conn.execute(delete(uploads).where(uploads.c.id == upload_id)).rowcount)


def rested(conn: Connection, before: float, limit: int) -> list[str]:
    """Ids of uploads that nothing has been added to since `before`."""
    statement = select(uploads.c.id).where(uploads.c.updated_at < before).order_by(uploads.c.updated_at).limit(limit)
    return list(conn.execute(statement).scalars())


def end_rested(conn: Connection, upload_id: str, before: float) -> bool:
    """`end`, if nothing has been added to it since `before`."""
    statement = delete(uploads).where(uploads.c.id == upload_id, uploads.c.updated_at < before)
    return bool(conn.execute(statement).rowcount)


def known(conn: Connection, names: list[str]) -> set[str]:
    """Those of `names` that are uploads."""
    return set(conn.execute(select(uploads.c.id).where(uploads.c.id.in_(names))).scalars())
