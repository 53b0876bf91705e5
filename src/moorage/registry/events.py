"""What happened, written into the outbox in the transaction in which it happens; jobs deliver it."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert

from moorage.names import RepositoryRef
from moorage.store.metadata.tables import outbox


def record(conn: Connection, ref: RepositoryRef, kind: str, payload: Mapping[str, object], *, at: float) -> None:
    """`kind` is noun.verb (`image.pushed`); the repository's name joins the payload."""
    content = msgspec.json.encode({"repository": ref.name, **payload}).decode()
    conn.execute(insert(outbox).values(at=at, account=ref.account, region=ref.region, kind=kind, payload=content))
