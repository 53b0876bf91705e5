"""Connections to a SQLite file, and the lock that its writers take."""

import fcntl
import sqlite3
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, StaticPool, create_engine

BUSY_SECONDS = 30.0  # how long to wait for the transaction of another program (sqlite3, a backup)


def connect(path: Path) -> sqlite3.Connection:
    """Return a driver connection in WAL mode with foreign keys checked. The caller executes BEGIN and COMMIT."""
    raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute("PRAGMA journal_size_limit = 67108864")
    return raw


def core_connection(raw: sqlite3.Connection) -> Connection:
    """Return SQLAlchemy's connection over `raw`. Its own transaction stays open and sends nothing."""
    # Errors are logged; the values of the failed statement, which include hashes of secrets, must not be.
    engine = create_engine("sqlite+pysqlite://", creator=lambda: raw, poolclass=StaticPool, hide_parameters=True)
    return engine.connect()


def open_write_lock(path: Path) -> TextIO:
    """Open the file whose lock (flock) a writer holds.

    SQLite's own lock is polled with growing pauses, so that one of several busy workers could wait for seconds. This
    one wakes the next writer. It is released when its process ends, in any way.
    """
    return Path(f"{path}.lock").open("w")


def try_write_lock(lock: TextIO) -> bool:
    """Take the lock unless another process has it; return whether it was taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
