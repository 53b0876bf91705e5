"""Connections to a SQLite file, and the gate through which those who write go one by one."""

import fcntl
import sqlite3
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, StaticPool, create_engine

BUSY_SECONDS = 30.0  # how long to wait for the transaction of another program (sqlite3, a backup)


def connect(path: Path) -> sqlite3.Connection:
    """A driver connection in WAL mode with foreign keys checked. BEGIN and COMMIT are ours to say."""
    raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute("PRAGMA journal_size_limit = 67108864")
    return raw


def core_connection(raw: sqlite3.Connection) -> Connection:
    """SQLAlchemy's connection over `raw`. Its own idea of a transaction stays open and sends nothing."""
    # Errors come into logs; the values of the statement that failed, hashes of secrets among them, must not.
    engine = create_engine("sqlite+pysqlite://", creator=lambda: raw, poolclass=StaticPool, hide_parameters=True)
    return engine.connect()


def open_gate(path: Path) -> TextIO:
    """The file whose lock (flock) whoever writes holds meanwhile.

    SQLite's own lock is polled with growing pauses, so that of several busy workers one waits for seconds; this one
    wakes the next. It goes with its process, however that ends.
    """
    return Path(f"{path}.lock").open("w")


def try_gate(gate: TextIO) -> bool:
    """Go through if nobody else is: whether we are."""
    try:
        fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
