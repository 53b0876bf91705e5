"""Statements about the regions that an account uses: where it has repositories, a registry policy or settings."""

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select

from moorage.store.metadata.tables import account_settings, registry_policies, repositories

_TABLES: tuple[tuple[Table, ColumnElement[bool] | None], ...] = (
    (repositories, repositories.c.deleted_at.is_(None)),
    (repositories, repositories.c.deleted_at.is_not(None)),
    (registry_policies, None),
    (account_settings, None),
)
"""The tables that name regions. The conditions are those of partial indexes."""


def is_used(conn: Connection, account: str, region: str) -> bool:
    """Return whether the account uses the region."""
    for table, condition in _TABLES:
        query = select(exists().where(table.c.region == region, *_of(table, account, condition)))
        if conn.execute(query).scalar_one():
            return True
    return False


def used(conn: Connection, account: str, most: int) -> set[str]:
    """Return the regions that the account uses, or at least `most` of them if there are more.

    The database does one index lookup for each region, however many rows it has. One statement for each table does
    them all, because each round trip to PostgreSQL makes the transaction longer and a conflict more likely.
    """
    found: set[str] = set()
    for table, condition in _TABLES:
        least = select(func.min(table.c.region).label("region")).where(*_of(table, account, condition))
        walk = least.cte("walk", recursive=True)
        following = least.where(table.c.region > walk.c.region).scalar_subquery()
        walk = walk.union_all(select(following).where(walk.c.region.is_not(None)))
        found.update(conn.execute(select(walk.c.region).where(walk.c.region.is_not(None)).limit(most)).scalars())
    return found


def _of(table: Table, account: str, condition: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [table.c.account == account, *([] if condition is None else [condition])]
