"""The audit record of decisions: written in batches, asked by id, by principal, by resource, by time.

Rows are dictionaries with every column of `tables.decisions`. On SQLite they are in a file of their own, so that
writing them neither waits for pushes nor shows in the metadata's `changed`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select, delete, insert, select
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from moorage.settings import Settings
from moorage.store.metadata.database import Database
from moorage.store.metadata.open import open_audit_database
from moorage.store.metadata.tables import decisions

Row: TypeAlias = dict[str, Any]

_INSERT = insert(decisions)
# Core's own insert converts every row first; our rows need none of it.
_INSERT_SQLITE = str(_INSERT.compile(dialect=sqlite_dialect(paramstyle="named")))


class AuditStore:
    """Decisions over a database that `open_audit_database` made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, settings: Settings) -> "AuditStore":
        return cls(await open_audit_database(settings))

    async def append(self, rows: Sequence[Row]) -> None:
        """Record `rows`, each with a fresh id. They survive the process's death, perhaps not the machine's."""
        if rows:
            await self._database.transaction(lambda conn: _insert(conn, rows), durable=False)

    async def find(self, id: str) -> Row | None:  # noqa: A002 - what it is
        """The decision `id`."""
        return await self._first(select(decisions).where(decisions.c.id == id))

    async def last_denial(self, principal: str | None = None) -> Row | None:
        """The newest denial, of `principal` (ARN) when given."""
        found = await self.select(principal=principal, allowed=False, limit=1)
        return found[0] if found else None

    async def select(
        self,
        *,
        principal: str | None = None,
        resource: str | None = None,
        account: str | None = None,
        action: str | None = None,
        allowed: bool | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[Row]:
        """The newest decisions that match everything given, newest first. `since` is inclusive, `until` exclusive."""
        query = select(decisions).order_by(decisions.c.at.desc(), decisions.c.id).limit(limit)
        equal = {"principal": principal, "resource": resource, "account": account, "action": action, "allowed": allowed}
        for name, value in equal.items():
            if value is not None:
                query = query.where(decisions.c[name] == value)
        if since is not None:
            query = query.where(decisions.c.at >= since)
        if until is not None:
            query = query.where(decisions.c.at < until)
        return await self._database.read(lambda conn: [dict(row) for row in conn.execute(query).mappings()])

    async def forget(self, before: float, *, limit: int = 10_000) -> int:
        """Delete up to `limit` decisions made before that time, the oldest first; how many went."""
        oldest = select(decisions.c.id).where(decisions.c.at < before).order_by(decisions.c.at).limit(limit)
        statement = delete(decisions).where(decisions.c.id.in_(oldest))
        return await self._database.transaction(lambda conn: conn.execute(statement).rowcount, durable=False)

    async def clear(self) -> None:
        """Delete every decision (dev mode's reset)."""
        await self._database.transaction(lambda conn: conn.execute(delete(decisions)), durable=False)

    async def close(self) -> None:
        await self._database.close()

    async def _first(self, query: Select[Any]) -> Row | None:
        def work(conn: Connection) -> Row | None:
            row = conn.execute(query).mappings().first()
            return None if row is None else dict(row)

        return await self._database.read(work)


def _insert(conn: Connection, rows: Sequence[Row]) -> None:
    driver = conn.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.executemany(_INSERT_SQLITE, rows)
    else:
        conn.execute(_INSERT, rows)
