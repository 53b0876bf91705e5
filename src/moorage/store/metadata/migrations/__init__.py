"""The schema's history, and how a database is brought to its newest state.

Two histories share this folder: the metadata (`versions/`) and the audit record (`audit_versions/`). On PostgreSQL both
live in one database, on SQLite each in its own file. The newest revisions are named here as well, so that a start with
nothing to do need not import alembic.
"""

import threading
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError


class UnknownRevisionError(Exception):
    """The database is at a revision that this version does not know: a newer one wrote it, or another program."""


class History(NamedTuple):
    """One line of migrations."""

    folder: str  # beside this file
    version_table: str  # where a database keeps the revision it is at
    head: str  # the newest revision


METADATA = History("versions", "alembic_version", "0015")
AUDIT = History("audit_versions", "alembic_version_audit", "audit0002")

_alembic = threading.Lock()  # alembic keeps what it works on in globals


def is_current(conn: Connection, history: History) -> bool:
    """Whether nothing is to be done. A failed statement may leave a PostgreSQL transaction to be rolled back."""
    try:
        found = conn.execute(text(f"SELECT version_num FROM {history.version_table}")).scalars().all()  # noqa: S608 - ours
    except DBAPIError:  # no such table: a new database
        return False
    return found == [history.head]


def upgrade(conn: Connection, history: History) -> None:
    """Bring the database to the newest revision within the connection's transaction.

    Called in a thread, never on the event loop, by one process at a time. Raises UnknownRevisionError.
    """
    from alembic import command  # noqa: PLC0415 - a third of a second that an ordinary start can do without
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    here = Path(__file__).parent
    config = Config()
    config.set_main_option("script_location", str(here).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(here / history.folder).replace("%", "%%"))
    config.attributes["connection"] = conn
    config.attributes["history"] = history
    with _alembic:
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UnknownRevisionError(str(error)) from error
