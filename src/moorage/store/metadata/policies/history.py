"""Statements about histories. Each row of a history says what an owner had from a time on; the newest one is current.

A row is needed while its value was current within the period that is kept, so until the next row of its owner is older
than that. The newest row of an owner whose value is null (it was deleted) is needed until it is older itself.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Table, delete, func, literal, select

from moorage.store.metadata.identity.tables import identity_history
from moorage.store.metadata.policies import documents
from moorage.store.metadata.tables import (
    organization_history,
    registry_policy_history,
    repositories,
    repository_policy_history,
    tag_history,
)

MOST: Final = 1_000_000
"""Rows of one table that are kept for one account. Older ones are deleted early, except current ones."""
MOST_OF_POLICY: Final = 1000
"""Rows that are kept for one policy. Older ones are deleted early."""
_TRIMMED_AT_ONCE: Final = 500


class History(NamedTuple):
    """A table with the columns `id` and `at`, and the columns that name the owner of a row."""

    table: Table
    owner: tuple[str, ...]
    value: str | None
    """The column that is null if the value was deleted. None: the newest row of an owner is always kept."""


TAGS: Final = History(tag_history, ("repository_id", "name"), "digest")
REPOSITORY_POLICIES: Final = History(repository_policy_history, ("repository_id",), "policy_hash")
REGISTRY_POLICIES: Final = History(registry_policy_history, ("account", "region"), "policy_hash")
IDENTITIES: Final = History(identity_history, ("owner_id", "aspect", "name"), "value")
# The newest row must stay: SQLite would use its id again, and organizations are cached by these ids.
ORGANIZATIONS: Final = History(organization_history, (), None)
HISTORIES: Final = (TAGS, REPOSITORY_POLICIES, REGISTRY_POLICIES, IDENTITIES, ORGANIZATIONS)


def ids(conn: Connection) -> dict[str, tuple[int, int]]:
    """Return the lowest and the highest id in each table that is not empty, by the name of the table."""
    found = {}
    for each in HISTORIES:
        column = each.table.c.id
        lowest, highest = conn.execute(select(func.min(column), func.max(column))).one()
        if highest is not None:
            found[each.table.name] = (lowest, highest)
    return found


def owners(conn: Connection, history: History, below: int, limit: int) -> list[tuple[int, str]]:
    """Return ids below `below`, highest first, with the account of each row (empty if it belongs to no account)."""
    row = history.table
    found = select(row.c.id, _account(history).label("account")).select_from(_with_account(history))
    return [
        (each.id, each.account)
        for each in conn.execute(found.where(row.c.id < below).order_by(row.c.id.desc()).limit(limit))
    ]


def _with_account(history: History) -> FromClause:
    row = history.table
    if "repository_id" in row.c:
        return row.join(repositories, repositories.c.id == row.c.repository_id)
    return row


def _account(history: History) -> ColumnElement[str]:
    if "repository_id" in history.table.c:
        return repositories.c.account
    return history.table.c.account if "account" in history.table.c else literal("")


def page(
    conn: Connection, history: History, after: int, before: float, oldest: Mapping[str, int], limit: int
) -> list[tuple[int, bool]]:
    """Return the next rows after the id `after`: the id, and whether the row can be deleted. Empty if no more can.

    Rows can be deleted if they are older than `before`, or below the id `oldest` of their account, which has too many.
    """
    row, newer = history.table, history.table.alias("newer")
    same = (newer.c[name] == row.c[name] for name in history.owner)
    successor = select(newer.c.at).where(*same, newer.c.id > row.c.id).order_by(newer.c.id).limit(1).scalar_subquery()
    columns = [row.c.id, row.c.at, _account(history).label("account"), successor.label("until")]
    if history.value is not None:
        columns.append(row.c[history.value].is_(None).label("ended"))
    statement = select(*columns).select_from(_with_account(history)).where(row.c.id > after)
    last = max(oldest.values(), default=0)
    found = []
    for each in conn.execute(statement.order_by(row.c.id).limit(limit)):
        early, old = each.id < oldest.get(each.account, 0), each.at < before
        ended = history.value is not None and each.ended
        if old or each.id < last:
            over = (early or old) and _is_over(each.until, before, early=early, ended=ended)
            found.append((each.id, over))
    return found


def _is_over(until: float | None, before: float, *, early: bool, ended: bool) -> bool:
    if until is None:
        return ended
    return early or until < before


def drop(conn: Connection, history: History, ids: Sequence[int]) -> None:
    """Delete rows by their ids."""
    conn.execute(delete(history.table).where(history.table.c.id.in_(ids)))


def trim(conn: Connection, history: History, owner: Mapping[str, object]) -> None:
    """Delete rows of this owner beyond the newest `MOST_OF_POLICY`, and release their documents.

    One call deletes at most `_TRIMMED_AT_ONCE` rows, so call it at least as often as that many rows are added.
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
