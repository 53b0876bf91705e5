"""Statements about the organization: one document, of which the newest entry is in force."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, LargeBinary, cast, func, insert, select

from moorage.store.metadata.database.statement import Query, rows
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.tables import epoch, organization_history, organization_policies


class NewestRow(NamedTuple):
    """The epoch, and the id of the entry in force; None: there never was one."""

    epoch: int
    id: int | None


class EntryRow(NamedTuple):
    """An entry of the history; `document` is None where the organization was removed."""

    document: str | None
    at: float
    by: str


_NEWEST = Query(
    select(
        epoch.c.wide.label("epoch"), select(func.max(organization_history.c.id)).scalar_subquery().label("id")
    ).where(epoch.c.id == 1),
    NewestRow,
)
_ENTRY = select(organization_history.c.document, organization_history.c.at, organization_history.c.by)


def newest(conn: Connection) -> NewestRow:
    """Return the epoch and the id of the entry in force."""
    row = _NEWEST.first(conn, {})
    assert row is not None  # noqa: S101 - the first migration made the epoch
    return row


def entry(conn: Connection, entry_id: int) -> EntryRow:
    """Return the entry with that id, which must exist."""
    return EntryRow(*conn.execute(_ENTRY.where(organization_history.c.id == entry_id)).one())


def add(conn: Connection, document: str | None, hashes: Iterable[str], at: float, by: str) -> None:
    """Put a document in force; None: there is no organization. `hashes`: those of the documents of its policies."""
    statement = (
        insert(organization_history).values(document=document, at=at, by=by).returning(organization_history.c.id)
    )
    entry_id = conn.execute(statement).scalar_one()
    added = [{"entry_id": entry_id, "policy_hash": each} for each in sorted(set(hashes))]
    if added:
        conn.execute(insert(organization_policies), added)
    histories.trim(conn, histories.ORGANIZATIONS, {})


def history(conn: Connection, before: int | None, limit: int, most_bytes: int) -> tuple[list[EntryRow], int | None]:
    """Return up to `limit` entries with ids below `before`, newest first, and the id that the next page is below.

    That id is None on the last page. The documents of a page have at most `most_bytes` together, unless the page is a
    single entry. Reads only what it returns.
    """
    table = organization_history.c
    length = func.coalesce(func.length(cast(table.document, LargeBinary)), 0)
    if conn.dialect.name == "postgresql":
        length = func.coalesce(func.octet_length(table.document), 0)
    lengths = select(table.id, length.label("bytes")).order_by(table.id.desc()).limit(limit + 1)
    if before is not None:
        lengths = lengths.where(table.id < before)
    wanted: list[int] = []
    following: int | None = None
    for row in conn.execute(lengths):
        most_bytes -= row.bytes
        if wanted and (most_bytes < 0 or len(wanted) == limit):
            following = wanted[-1]
            break
        wanted.append(row.id)
    return rows(conn, _ENTRY.where(table.id.in_(wanted)).order_by(table.id.desc()), EntryRow), following
