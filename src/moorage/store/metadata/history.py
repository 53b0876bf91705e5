"""Statements about histories: rows that say what was in force, from when on. The newest row of an owner is in force.

A row is needed as long as what it says was in force within the period that is kept: until its successor is older. The
newest row of an owner that has nothing any more (its value is null) is needed until it is older itself.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, Table, delete, func, select

from moorage.store.metadata import documents
from moorage.store.metadata.identity_tables import identity_history
from moorage.store.metadata.tables import (
    organization_history,
    registry_policy_history,
    repository_policy_history,
    tag_history,
)

MOST: Final = 1_000_000
"""Rows of one table that are kept: older ones are deleted early, except what is in force."""
MOST_OF_POLICY: Final = 1000
"""Entries in the history of one policy; older ones are deleted early."""
_TRIMMED_AT_ONCE: Final = 500


class History(NamedTuple):
    """A table with the columns `id` and `at`, and the columns that say whose a row is."""

    table: Table
    owner: tuple[str, ...]
    value: str | None
    """The column that is null where the owner has nothing any more; None: the newest row is always kept."""


TAGS: Final = History(tag_history, ("repository_id", "name"), "digest")
REPOSITORY_POLICIES: Final = History(repository_policy_history, ("repository_id",), "policy_hash")
REGISTRY_POLICIES: Final = History(registry_policy_history, ("account", "region"), "policy_hash")
IDENTITIES: Final = History(identity_history, ("owner_id", "aspect", "name"), "value")
# SQLite gives the id of a deleted newest row again, and organizations are cached by these ids.
ORGANIZATIONS: Final = History(organization_history, (), None)
HISTORIES: Final = (TAGS, REPOSITORY_POLICIES, REGISTRY_POLICIES, IDENTITIES, ORGANIZATIONS)


def page(
    conn: Connection, history: History, after: int, before: float, most: int, limit: int
) -> list[tuple[int, bool]]:
    """The next rows after the id `after` that may be deleted: id, and whether the row is no longer needed.

    These are rows older than `before`, and rows that are not among the newest `most` of the table.
    """
    row, newer = history.table, history.table.alias("newer")
    same = (newer.c[name] == row.c[name] for name in history.owner)
    successor = select(newer.c.at).where(*same, newer.c.id > row.c.id).order_by(newer.c.id).limit(1).scalar_subquery()
    columns = [row.c.id, row.c.at, successor.label("until")]
    if history.value is not None:
        columns.append(row.c[history.value].is_(None).label("ended"))
    last = (conn.execute(select(func.max(row.c.id))).scalar_one() or 0) - most
    found = conn.execute(select(*columns).where(row.c.id > after).order_by(row.c.id).limit(limit))
    return [
        (each.id, _is_over(each.until, before, early=each.id <= last, ended=history.value is not None and each.ended))
        for each in found
        if each.at < before or each.id <= last
    ]


def _is_over(until: float | None, before: float, *, early: bool, ended: bool) -> bool:
    if until is None:
        return ended
    return early or until < before


def drop(conn: Connection, history: History, ids: Sequence[int]) -> None:
    conn.execute(delete(history.table).where(history.table.c.id.in_(ids)))


def trim(conn: Connection, history: History, owner: Mapping[str, object]) -> None:
    """Delete entries beyond the newest `MOST_OF_POLICY` of this owner, and let their documents go.

    At most some hundred at once: call it often enough.
    """
    table = history.table
    here = [table.c[name] == owner[name] for name in history.owner]
    newest_first = select(table.c.id).where(*here).order_by(table.c.id.desc())
    last = conn.execute(newest_first.offset(MOST_OF_POLICY).limit(1)).scalar_one_or_none()
    if last is None:
        return
    oldest = select(table.c.id).where(*here, table.c.id <= last).order_by(table.c.id).limit(_TRIMMED_AT_ONCE)
    statement = delete(table).where(table.c.id.in_(oldest))
    if history.value is None:
        conn.execute(statement)
    else:
        documents.release(conn, conn.execute(statement.returning(table.c[history.value])).scalars().all())
