"""Statements about repositories that have been in the trash for too long, or are too many there."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from moorage.store.metadata.repositories.repositories import destroy
from moorage.store.metadata.tables import repositories


def expired_repositories(conn: Connection, before: float, limit: int) -> list[int]:
    """Return ids of at most `limit` repositories that were deleted before `before`."""
    statement = select(repositories.c.id).where(repositories.c.deleted_at < before).order_by(repositories.c.deleted_at)
    return list(conn.execute(statement.limit(limit)).scalars())


def surplus_repositories(conn: Connection, most: int, limit: int) -> list[int]:
    """Return ids of at most `limit` deleted repositories of some registry beyond the `most` deleted last there."""
    trashed = repositories.c.deleted_at.is_not(None)
    registry = (repositories.c.account, repositories.c.region)
    full = select(*registry).where(trashed).group_by(*registry).having(func.count() > most).limit(1)
    found = conn.execute(full).first()
    if found is None:
        return []
    here = (trashed, repositories.c.account == found.account, repositories.c.region == found.region)
    newest_first = select(repositories.c.id).where(*here).order_by(repositories.c.deleted_at.desc(), repositories.c.id)
    return list(conn.execute(newest_first.offset(most).limit(limit)).scalars())


def destroy_expired_repositories(conn: Connection, ids: Sequence[int], before: float) -> None:
    """Destroy those of the repositories that are still deleted since before `before`, with all they hold."""
    still = select(repositories.c.id).where(repositories.c.id.in_(ids), repositories.c.deleted_at < before)
    for repository_id in conn.execute(still).scalars().all():
        destroy(conn, repository_id)
