"""Statements about the organisation: one document, of which the last is in force."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, cast, func, insert, select

from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.tables import epoch, organization_policies
from moorage.store.metadata.tables import organization_history as past

_NEWEST = Query(
    select(epoch.c.wide.label("epoch"), select(func.max(past.c.id)).scalar_subquery().label("id")).where(
        epoch.c.id == 1
    )
)


def newest(conn: Connection) -> Any:
    """A row (epoch, id): of the document in force; no id when there never was one."""
    row = _NEWEST.first(conn, {})
    assert row is not None  # noqa: S101 - the first migration made the epoch
    return row


def entry(conn: Connection, entry_id: int) -> Row[*tuple[Any, ...]]:
    """The entry (document, at, by) of that id."""
    return conn.execute(select(past.c.document, past.c.at, past.c.by).where(past.c.id == entry_id)).one()


def add(conn: Connection, document: str | None, hashes: Iterable[str], at: float, by: str) -> None:
    """Put this document in force (None: there is no organization). `hashes`: of the documents of its policies."""
    statement = insert(past).values(document=document, at=at, by=by).returning(past.c.id)
    entry_id = conn.execute(statement).scalar_one()
    rows = [{"entry_id": entry_id, "policy_hash": each} for each in sorted(set(hashes))]
    if rows:
        conn.execute(insert(organization_policies), rows)
    histories.trim(conn, histories.ORGANIZATIONS, {})


def history(
    conn: Connection, before: int | None, limit: int, most_bytes: int
) -> tuple[Sequence[Row[*tuple[Any, ...]]], int | None]:
    """The last `limit` entries (document, at, by) of those before the id `before`, newest first.

    Also the id to go on before, None after the oldest entry. There are fewer entries, but at least one, if their
    documents have more than `most_bytes` together. Reads only what it returns.
    """
    length = func.coalesce(func.length(cast(past.c.document, LargeBinary)), 0)
    if conn.dialect.name == "postgresql":
        length = func.coalesce(func.octet_length(past.c.document), 0)
    lengths = select(past.c.id, length.label("bytes")).order_by(past.c.id.desc()).limit(limit + 1)
    if before is not None:
        lengths = lengths.where(past.c.id < before)
    wanted: list[int] = []
    following: int | None = None
    for row in conn.execute(lengths):
        most_bytes -= row.bytes
        if wanted and (most_bytes < 0 or len(wanted) == limit):
            following = wanted[-1]
            break
        wanted.append(row.id)
    statement = select(past.c.document, past.c.at, past.c.by).where(past.c.id.in_(wanted))
    return conn.execute(statement.order_by(past.c.id.desc())).all(), following
