"""Statements about the deployment as a whole: what proves that the sealing keys are its own, and the mode it is for."""

from typing import Final

from sqlalchemy import Connection, insert, select, update

from moorage.store.metadata.identity.tables import access_keys, sessions
from moorage.store.metadata.tables import deployment

SEALED: Final = "sealed"
"""A text that the sealing keys of the deployment open."""
MODE: Final = "mode"
"""`serve` once `moorage init` ran."""


def get(conn: Connection, name: str) -> str | None:
    return conn.execute(select(deployment.c.value).where(deployment.c.name == name)).scalar_one_or_none()


def put(conn: Connection, name: str, value: str) -> None:
    """In place of the value that it had."""
    if conn.execute(update(deployment).where(deployment.c.name == name).values(value=value)).rowcount == 0:
        conn.execute(insert(deployment).values(name=name, value=value))


def some_secret(conn: Connection) -> tuple[str, str] | None:
    """Id and sealed secret of any key or session; None when nothing is sealed."""
    for table in (access_keys, sessions):
        row = conn.execute(select(table.c.id, table.c.secret).where(table.c.secret != "").limit(1)).first()
        if row is not None:
            return row.id, row.secret
    return None
