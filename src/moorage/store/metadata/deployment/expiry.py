"""Statements about what is past its time and no other module here keeps: trash, sessions, events."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select

from moorage.store.metadata.identity.tables import sessions
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.repositories.repositories import destroy
from moorage.store.metadata.tables import outbox, repositories


def expired_repositories(conn: Connection, before: float, limit: int) -> list[int]:
    """Ids of repositories in the trash since before `before`."""
    statement = select(repositories.c.id).where(repositories.c.deleted_at < before).order_by(repositories.c.deleted_at)
    return list(conn.execute(statement.limit(limit)).scalars())


def surplus_repositories(conn: Connection, most: int, limit: int) -> list[int]:
    """Ids of repositories in the trash of some registry beyond the `most` that were deleted last there."""
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
    """Destroy those of the repositories that have been in the trash since before `before`, with all they hold."""
    still = select(repositories.c.id).where(repositories.c.id.in_(ids), repositories.c.deleted_at < before)
    for repository_id in conn.execute(still).scalars().all():
        destroy(conn, repository_id)


def has_expired_sessions(conn: Connection, before: float) -> bool:
    return conn.execute(select(sessions.c.id).where(sessions.c.expires_at < before).limit(1)).first() is not None


def end_expired_sessions(conn: Connection, before: float, limit: int) -> None:
    """End at most `limit` sessions that expired before `before`, and count them no longer."""
    expired = select(sessions.c.id).where(sessions.c.expires_at < before).order_by(sessions.c.expires_at).limit(limit)
    owner = (sessions.c.account, sessions.c.identity_id)
    ended = conn.execute(delete(sessions).where(sessions.c.id.in_(expired)).returning(*owner)).all()
    amounts = Counter(usage.sessions_of_account(row.account) for row in ended)
    amounts.update(usage.sessions_of_identity(row.account, row.identity_id) for row in ended)
    for scope, number in sorted(amounts.items()):
        usage.give_back(conn, scope, number)


def old_events(conn: Connection, before: float, most: int, limit: int) -> list[int]:
    """Ids of events older than `before`, or beyond the newest `most`, the oldest first; ids grow with time."""
    newest = conn.execute(select(func.max(outbox.c.id))).scalar_one() or 0
    rows = conn.execute(select(outbox.c.id, outbox.c.at).order_by(outbox.c.id).limit(limit))
    return [row.id for row in rows if row.at < before or row.id <= newest - most]


def drop_events(conn: Connection, ids: Sequence[int]) -> None:
    conn.execute(delete(outbox).where(outbox.c.id.in_(ids)))
