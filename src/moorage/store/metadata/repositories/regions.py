"""Statements about the regions in which an account keeps something: repositories, a registry policy, settings."""

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select

from moorage.store.metadata.tables import account_settings, registry_policies, repositories

_KEPT: tuple[tuple[Table, ColumnElement[bool] | None], ...] = (
    (repositories, repositories.c.deleted_at.is_(None)),
    (repositories, repositories.c.deleted_at.is_not(None)),
    (registry_policies, None),
    (account_settings, None),
)
"""Where a region is named; the conditions are those of partial indexes."""


def is_used(conn: Connection, account: str, region: str) -> bool:
    """Whether the account keeps something there."""
    for table, condition in _KEPT:
        query = select(exists().where(table.c.region == region, *_of(table, account, condition)))
        if conn.execute(query).scalar_one():
            return True
    return False


def used(conn: Connection, account: str, most: int) -> set[str]:
    """Return the regions in which the account keeps something, or at least `most` of them if there are more.

    The database looks into an index once for each region, however much is there, and in one statement for each table:
    each round trip to PostgreSQL would make the transaction longer, and so more likely to collide.
    """
    found: set[str] = set()
    for table, condition in _KEPT:
        least = select(func.min(table.c.region).label("region")).where(*_of(table, account, condition))
        walk = least.cte("walk", recursive=True)
        following = least.where(table.c.region > walk.c.region).scalar_subquery()
        walk = walk.union_all(select(following).where(walk.c.region.is_not(None)))
        found.update(conn.execute(select(walk.c.region).where(walk.c.region.is_not(None)).limit(most)).scalars())
    return found


def _of(table: Table, account: str, condition: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [table.c.account == account, *([] if condition is None else [condition])]
