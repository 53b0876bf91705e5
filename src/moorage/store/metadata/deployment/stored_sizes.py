"""Statements that count what is stored, for the metrics."""

from sqlalchemy import Connection, Select, func, select

from moorage.store.metadata.tables import blobs, manifests, repositories


def stored(conn: Connection) -> dict[str, int]:
    """Return how many repositories and images are not in the trash, how many blobs there are, and their bytes."""
    count, size = conn.execute(select(func.count(), func.coalesce(func.sum(blobs.c.size), 0)).select_from(blobs)).one()
    return {
        "repositories": _count(conn, select(func.count()).where(repositories.c.deleted_at.is_(None))),
        "images": _count(conn, select(func.count()).where(manifests.c.deleted_at.is_(None))),
        "blobs": int(count),
        "blob_bytes": int(size),
    }


def _count(conn: Connection, statement: Select[int]) -> int:
    return int(conn.execute(statement).scalar_one())
