"""Deletes credentials some time after they ended. Until then, the server can tell them from unknown ones.

Each function yields the number of rows that every transaction deleted.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import expired_sessions, pull_tokens

EXPIRED_SESSION_SECONDS: Final = 86_400.0
"""How long an expired session is kept."""
BATCH: Final = 500
"""Rows looked up or deleted in one transaction: a few milliseconds."""


async def delete_expired_sessions(db: Database, *, before: float) -> AsyncIterator[int]:
    """Delete the sessions that expired before `before`."""
    while await db.read(lambda conn: expired_sessions.has_expired_sessions(conn, before)):
        yield await db.transaction(
            lambda conn: expired_sessions.delete_expired_sessions(conn, before, BATCH), long=True, frees=True
        )


async def delete_ended_pull_tokens(db: Database, *, before: float) -> AsyncIterator[int]:
    """Delete the pull tokens that expired or were revoked before `before`."""

    def find(conn: Connection) -> list[str]:
        return pull_tokens.ended(conn, before, BATCH)

    while ids := await db.read(find):
        await _forget(db, ids)
        yield len(ids)


async def _forget(db: Database, ids: Sequence[str]) -> None:
    await db.transaction(lambda conn: pull_tokens.forget(conn, ids), long=True, frees=True)
