"""Statements about histories: rows that say what was in force, from when on. The newest row of an owner is in force.

A row is needed as long as what it says was in force within the period that is kept: until its successor is older.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, select

from moorage.store.metadata.identity_tables import identity_history
from moorage.store.metadata.tables import (
    organization_history,
    registry_policy_history,
    repository_policy_history,
    tag_history,
)


class History(NamedTuple):
    """A table with the columns `id` and `at`, and the columns that say whose a row is."""

    table: Table
    owner: tuple[str, ...]


HISTORIES = (
    History(tag_history, ("repository_id", "name")),
    History(repository_policy_history, ("repository_id",)),
    History(registry_policy_history, ("account", "region")),
    History(identity_history, ("owner_id", "aspect", "name")),
    History(organization_history, ()),
)


def page(conn: Connection, history: History, after: int, before: float, limit: int) -> list[tuple[int, bool]]:
    """The next rows after the id `after` that are older than `before`: id, and whether the row's successor is, too."""
    row, newer = history.table, history.table.alias("newer")
    same = (newer.c[name] == row.c[name] for name in history.owner)
    successor = select(newer.c.at).where(*same, newer.c.id > row.c.id).order_by(newer.c.id).limit(1).scalar_subquery()
    statement = select(row.c.id, row.c.at, successor.label("until")).where(row.c.id > after)
    found = conn.execute(statement.order_by(row.c.id).limit(limit))
    return [(each.id, each.until is not None and each.until < before) for each in found if each.at < before]


def drop(conn: Connection, history: History, ids: Sequence[int]) -> None:
    conn.execute(delete(history.table).where(history.table.c.id.in_(ids)))
