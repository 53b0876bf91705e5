"""What happened, written into the outbox in the transaction in which it happens; jobs deliver it."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, bindparam, insert

from moorage.names import RepositoryRef
from moorage.store.metadata.statement import Change
from moorage.store.metadata.tables import outbox

_ADD = Change(
    insert(outbox).values(**{name: bindparam(name) for name in ("at", "account", "region", "kind", "payload")})
)


def record(conn: Connection, ref: RepositoryRef, kind: str, payload: Mapping[str, object], *, at: float) -> None:
    """`kind` is noun.verb (`image.pushed`); the repository's name joins the payload."""
    content = msgspec.json.encode({"repository": ref.name, **payload}).decode()
    _ADD.run(conn, {"at": at, "account": ref.account, "region": ref.region, "kind": kind, "payload": content})
