"""Opens the database that the settings name, its schema brought up to date first; any number of workers at once."""

import asyncio
import fcntl
from pathlib import Path

from moorage.settings import Settings
from moorage.store.metadata.database import Database
from moorage.store.metadata.migrations import AUDIT, METADATA, History, is_current, upgrade
from moorage.store.metadata.sqlite import SqliteDatabase
from moorage.store.metadata.sqlite_connection import connect, core_connection, open_gate


async def open_database(settings: Settings) -> Database:
    """The metadata: PostgreSQL when `database_url` is set, else the file `moorage.db` in the data directory."""
    if settings.database_url is not None:
        return await _open_postgres(settings.database_url, METADATA)
    return await open_sqlite(settings.data / "moorage.db", METADATA)


async def open_audit_database(settings: Settings) -> Database:
    """Where decisions are recorded: a file of its own beside the metadata, or the same PostgreSQL database."""
    if settings.database_url is not None:
        return await _open_postgres(settings.database_url, AUDIT)
    return await open_sqlite(settings.data / "audit.db", AUDIT)


async def open_sqlite(path: Path, history: History) -> SqliteDatabase:
    """The database in the file `path`, made when it is not there."""
    await asyncio.to_thread(_migrate_sqlite, path, history)
    return SqliteDatabase.open(path, inline=history is METADATA)


def _migrate_sqlite(path: Path, history: History) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_gate(path) as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        raw = connect(path)
        try:
            conn = core_connection(raw)
            if not is_current(conn, history):
                raw.execute("BEGIN IMMEDIATE")
                upgrade(conn, history)
                raw.execute("COMMIT")
            conn.close()
        finally:
            raw.close()


async def _open_postgres(url: str, history: History) -> Database:
    from moorage.store.metadata.postgres import PostgresDatabase  # noqa: PLC0415 - asyncpg only where it is used

    return await PostgresDatabase.migrated(url, history)
