"""Statements about the deployment as a whole: a text that checks its sealing keys, and its mode."""

from typing import Final

from sqlalchemy import Connection, insert, select, update

from moorage.store.metadata.identity.tables import access_keys, sessions
from moorage.store.metadata.tables import deployment

SEALED: Final = "sealed"
"""Name of a sealed text, which only the sealing keys of this deployment open."""
MODE: Final = "mode"
"""Name of the mode: `serve` once `moorage init` ran."""


def get(conn: Connection, name: str) -> str | None:
    """Return the value of that name, or None."""
    return conn.execute(select(deployment.c.value).where(deployment.c.name == name)).scalar_one_or_none()


def put(conn: Connection, name: str, value: str) -> None:
    """Store a value, in place of an earlier one of that name."""
    if conn.execute(update(deployment).where(deployment.c.name == name).values(value=value)).rowcount == 0:
        conn.execute(insert(deployment).values(name=name, value=value))


def some_secret(conn: Connection) -> tuple[str, str] | None:
    """Return the id and sealed secret of any access key or session; None if there is none."""
    for table in (access_keys, sessions):
        row = conn.execute(select(table.c.id, table.c.secret).where(table.c.secret != "").limit(1)).first()
        if row is not None:
            return row.id, row.secret
    return None
