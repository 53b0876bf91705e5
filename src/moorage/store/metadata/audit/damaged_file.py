"""What becomes of a damaged audit record: the registry must start without it, and with a new one."""

import sqlite3
import time
from pathlib import Path
from typing import Final

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def set_aside_damaged(path: Path) -> Path | None:
    """Rename the SQLite file `path` and its log if it cannot be read because it is damaged. Return its new name.

    Decisions and events are a record beside the data: without a new file every write would be refused, because none may
    happen without its event. Call it before anything has the file open.
    """
    if not path.exists() or not _is_damaged(path):
        return None
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for ending in ("-wal", "-shm"):
        log = path.with_name(path.name + ending)
        if log.exists():
            log.replace(aside.with_name(aside.name + ending))
    path.replace(aside)  # last: killed before this, the next start finds the file damaged again
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
