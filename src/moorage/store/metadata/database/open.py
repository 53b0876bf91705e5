"""Opening the database that the settings name, after migrating its schema. Any number of workers may do so at once."""

import asyncio
import fcntl
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from moorage.data_directory import UnusableDataError
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.sqlite import SqliteDatabase
from moorage.store.metadata.database.sqlite_connection import connect, core_connection, open_write_lock
from moorage.store.metadata.migrations import (
    AUDIT,
    METADATA,
    History,
    UnknownRevisionError,
    is_current,
    upgrade,
)

_NEWER: Final = (
    "was written by a newer version of Moorage, or by another program. Run that version, or restore the backup that "
    "was made before the upgrade"
)


async def open_database(settings: Settings) -> Database:
    """Open the metadata: PostgreSQL if `database_url` is set, else the file `moorage.db` in the data directory."""
    if settings.database_url is not None:
        return await _open_postgres(settings.database_url, METADATA)
    return await open_sqlite(settings.data / "moorage.db", METADATA)


async def open_audit_database(settings: Settings) -> Database:
    """Open the audit record: a file of its own beside the metadata, or the same PostgreSQL database."""
    if settings.database_url is not None:
        return await _open_postgres(settings.database_url, AUDIT)
    return await open_sqlite(settings.data / "audit.db", AUDIT)


async def open_sqlite(path: Path, history: History) -> SqliteDatabase:
    """Open the database in the file `path`, which is created if need be. Raises UnusableDataError."""
    try:
        await asyncio.to_thread(_migrate_sqlite, path, history)
        return SqliteDatabase.open(path, inline=history is METADATA)
    except UnknownRevisionError as error:
        raise UnusableDataError(f"{path} {_NEWER}") from error
    except (OSError, sqlite3.Error, DBAPIError) as error:
        raise UnusableDataError(_sqlite_problem(path, error)) from error


def _sqlite_problem(path: Path, error: Exception) -> str:
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    reason = (getattr(original, "strerror", None) or str(original)).rstrip(".")
    if "not a database" in reason or "malformed" in reason:
        return f"{path} is damaged ({reason}). Restore it from a backup"
    if "unable to open" in reason or "readonly" in reason:
        return (
            f"{path} cannot be opened for writing ({reason}). The user who runs Moorage must own it and its directory"
        )
    return f"{path} cannot be used: {reason}"


def _migrate_sqlite(path: Path, history: History) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_write_lock(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = connect(path)
        try:
            with core_connection(raw) as conn:
                if not is_current(conn, history):
                    raw.execute("BEGIN IMMEDIATE")
                    upgrade(conn, history)
                    raw.execute("COMMIT")
        finally:
            raw.close()


async def _open_postgres(url: str, history: History) -> Database:
    import asyncpg  # noqa: PLC0415 - only where it is used

    from moorage.store.metadata.database.postgres import PostgresDatabase  # noqa: PLC0415

    try:
        return await PostgresDatabase.migrated(url, history)
    except UnknownRevisionError as error:
        raise UnusableDataError(f"the database of {_shown(url)} {_NEWER}") from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError) as error:
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        reason = " ".join(str(original).split()) or type(original).__name__
        raise UnusableDataError(f"the database of {_shown(url)} cannot be used: {reason}") from error


def _shown(url: str) -> str:
    """Return the database URL without its password."""
    try:
        parts = urlsplit(url)
        secrets = [parts.password] + [value for name, value in parse_qsl(parts.query) if name == "password"]
    except ValueError:
        return "--database-url"
    for secret in filter(None, secrets):
        url = url.replace(secret, "…")
    return url
