"""Statements about accounts."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, union, update

from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.identity.tables import accounts
from moorage.store.metadata.tables import registry_policies, repositories


class _CreatedRow(NamedTuple):
    created_at: float


_CREATED = Query(select(accounts.c.created_at).where(accounts.c.id == bindparam("account")), _CreatedRow)


def exists(conn: Connection, account: str) -> bool:
    """Return whether the account was created. Dev mode serves accounts that were not."""
    return created_at(conn, account) is not None


def known(conn: Connection) -> list[str]:
    """Return every account that was created or has anything in a registry, in order."""
    found = union(
        select(accounts.c.id),
        select(repositories.c.account).where(repositories.c.deleted_at.is_(None)),
        select(registry_policies.c.account),
    )
    return sorted(conn.execute(found).scalars())


def any_created(conn: Connection) -> bool:
    """Return whether the database has any account."""
    return conn.execute(select(accounts.c.id).limit(1)).first() is not None


def created_at(conn: Connection, account: str) -> float | None:
    """Return when the account was created; None if it was not."""
    found = _CREATED.first(conn, {"account": account})
    return None if found is None else found.created_at


def add(conn: Connection, account: str, name: str, at: float) -> None:
    """Add an account."""
    conn.execute(insert(accounts).values(id=account, name=name, created_at=at))


def alias(conn: Connection, account: str) -> str | None:
    """Return the alias of the account, or None."""
    return conn.execute(select(accounts.c.alias).where(accounts.c.id == account)).scalar_one_or_none()


def with_alias(conn: Connection, name: str) -> str | None:
    """Return the account that has the alias, or None."""
    return conn.execute(select(accounts.c.id).where(accounts.c.alias == name)).scalar_one_or_none()


def set_alias(conn: Connection, account: str, name: str | None) -> None:
    """Set the alias of the account; None removes it."""
    conn.execute(update(accounts).where(accounts.c.id == account).values(alias=name))
