"""Sets a damaged audit database aside, so that the registry can start with a new one."""

import sqlite3
import time
from pathlib import Path
from typing import Final

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def set_aside_damaged(path: Path) -> Path | None:
    """Rename the SQLite file `path` and its log if the file is damaged. Return its new name, or None.

    The audit record is not part of the registry's data, but every write needs its event to be recorded, so that without
    a new file every write would be refused. Call this before anything opens the file.
    """
    if not path.exists() or not _is_damaged(path):
        return None
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for ending in ("-wal", "-shm"):
        log = path.with_name(path.name + ending)
        if log.exists():
            log.replace(aside.with_name(aside.name + ending))
    path.replace(aside)  # last, so that a start after a kill finds the damaged file again
    return aside


def _is_damaged(path: Path) -> bool:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid DESC LIMIT 1').fetchall()  # noqa: S608 - its own
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode & 0xFF in _DAMAGED
    finally:
        connection.close()
    return False
