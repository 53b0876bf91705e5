"""Emptying the database, for dev mode's reset."""

from sqlalchemy import Connection, delete

from moorage.store.metadata import epoch
from moorage.store.metadata.tables import metadata


def empty(connection: Connection) -> None:
    """Delete every row of every table but the epoch, which goes up."""
    for table in reversed(metadata.sorted_tables):
        if table.name != "epoch":
            connection.execute(delete(table))
    epoch.advance(connection)
