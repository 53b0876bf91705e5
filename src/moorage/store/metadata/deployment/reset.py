"""Emptying the database, for dev mode's reset."""

from sqlalchemy import Connection, delete

from moorage.store.metadata import epoch
from moorage.store.metadata.tables import metadata

_KEPT = frozenset({"epoch", "deployment"})


def empty(connection: Connection) -> None:
    """Delete every row of every table but the epoch, which goes up, and those about the deployment."""
    for table in reversed(metadata.sorted_tables):
        if table.name not in _KEPT:
            connection.execute(delete(table))
    epoch.advance(connection)
