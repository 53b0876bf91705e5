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
    """The regions in which the account keeps something; about `most` where there are more.

    Each is one look into an index, however much is there.
    """
    found: set[str] = set()
    for table, condition in _KEPT:
        query = select(func.min(table.c.region)).where(*_of(table, account, condition))
        region: str | None = conn.execute(query).scalar_one()
        while region is not None and len(found) < most:
            found.add(region)
            region = conn.execute(query.where(table.c.region > region)).scalar_one()
    return found


def _of(table: Table, account: str, condition: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [table.c.account == account, *([] if condition is None else [condition])]
