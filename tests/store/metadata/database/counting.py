"""The smallest thing to write and read: the epoch as a counter."""

from sqlalchemy import Connection

from moorage.store.metadata import epoch


def counted(conn: Connection) -> int:
    """How often it was raised, and one."""
    return epoch.current(conn).value
