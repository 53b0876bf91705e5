"""The authorisation epoch: one number that every change of identity or policy raises in its own transaction.

Caches of credentials, identities and compiled policies are good while it stands still.
"""

from sqlalchemy import Connection, select, update

from moorage.store.metadata.tables import epoch

_CURRENT = select(epoch.c.value).where(epoch.c.id == 1)
_ADVANCE = update(epoch).where(epoch.c.id == 1).values(value=epoch.c.value + 1)


def current(conn: Connection) -> int:
    """The epoch as this snapshot sees it."""
    value: int = conn.execute(_CURRENT).scalar_one()
    return value


def advance(conn: Connection) -> None:
    """Raise the epoch by one; call it in the transaction of the change that others must notice."""
    conn.execute(_ADVANCE)
