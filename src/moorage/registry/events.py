"""What happened, written into the outbox in the transaction in which it happens; jobs deliver it."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, bindparam, insert

from moorage.names import AccountId, Region, RepositoryRef
from moorage.store.metadata.database.statement import Change
from moorage.store.metadata.tables import outbox

_ADD = Change(
    insert(outbox).values(**{name: bindparam(name) for name in ("at", "account", "region", "kind", "payload")})
)


def record(conn: Connection, ref: RepositoryRef, kind: str, payload: Mapping[str, object], *, at: float) -> None:
    """`kind` is noun.verb (`image.pushed`); the repository's name joins the payload."""
    record_of_registry(conn, ref.account, ref.region, kind, {"repository": ref.name, **payload}, at=at)


def record_of_registry(
    conn: Connection, account: AccountId, region: Region, kind: str, payload: Mapping[str, object], *, at: float
) -> None:
    """Of what concerns no single repository."""
    content = msgspec.json.encode(payload).decode()
    _ADD.run(conn, {"at": at, "account": account, "region": region, "kind": kind, "payload": content})
