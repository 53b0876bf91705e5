"""Statements about sessions that have expired."""

from collections import Counter

from sqlalchemy import Connection, delete, select

from moorage.store.metadata.identity.tables import sessions
from moorage.store.metadata.repositories import usage


def has_expired_sessions(conn: Connection, before: float) -> bool:
    """Return whether a session expired before `before`."""
    return conn.execute(select(sessions.c.id).where(sessions.c.expires_at < before).limit(1)).first() is not None


def delete_expired_sessions(conn: Connection, before: float, limit: int) -> int:
    """Delete at most `limit` sessions that expired before `before`, and give their quota back. Returns how many."""
    expired = select(sessions.c.id).where(sessions.c.expires_at < before).order_by(sessions.c.expires_at).limit(limit)
    owner = (sessions.c.account, sessions.c.identity_id)
    ended = conn.execute(delete(sessions).where(sessions.c.id.in_(expired)).returning(*owner)).all()
    amounts = Counter(usage.sessions_of_account(row.account) for row in ended)
    amounts.update(usage.sessions_of_identity(row.account, row.identity_id) for row in ended)
    for scope, number in sorted(amounts.items()):
        usage.give_back(conn, scope, number)
    return len(ended)
