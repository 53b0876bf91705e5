"""Statements about the outbox: one row for each event, written in the transaction of the change."""

from sqlalchemy import Connection, bindparam, insert

from moorage.store.metadata.database.statement import Change
from moorage.store.metadata.tables import outbox

_COLUMNS = ("at", "account", "region", "kind", "payload")
_ADD = Change(insert(outbox).values(**{name: bindparam(name) for name in _COLUMNS}))


def add(conn: Connection, *, at: float, account: str, region: str, kind: str, payload: str) -> None:
    """Add an event. `region` is empty for what belongs to an account in every region; `payload` is JSON."""
    _ADD.run(conn, {"at": at, "account": account, "region": region, "kind": kind, "payload": payload})
