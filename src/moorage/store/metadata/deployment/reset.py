"""Deletes everything, for the reset of dev mode."""

from sqlalchemy import Connection, delete

from moorage.store.metadata import epoch
from moorage.store.metadata.tables import metadata

_KEPT = frozenset({"epoch", "deployment"})


def empty(connection: Connection) -> None:
    """Delete the rows of all tables but those about the deployment, and raise the authorization epoch."""
    for table in reversed(metadata.sorted_tables):
        if table.name not in _KEPT:
            connection.execute(delete(table))
    epoch.advance(connection)
