"""Statements about accounts, and the events of what belongs to an account in every region."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, union, update

from moorage.store.metadata.identity.tables import accounts
from moorage.store.metadata.tables import outbox, registry_policies, repositories

_NO_REGION = ""
"""Identities belong to an account, in every region."""


def record(conn: Connection, account: str, kind: str, payload: Mapping[str, str], at: float) -> None:
    """An event of this change, for the jobs to deliver."""
    row = {"at": at, "account": account, "region": _NO_REGION, "kind": kind, "payload": json.dumps(payload)}
    conn.execute(insert(outbox).values(row))


def exists(conn: Connection, account: str) -> bool:
    return made_at(conn, account) is not None


def known(conn: Connection) -> list[str]:
    """Every account that was made, or has anything in a registry (dev mode's open accounts are not made)."""
    found = union(
        select(accounts.c.id),
        select(repositories.c.account).where(repositories.c.deleted_at.is_(None)),
        select(registry_policies.c.account),
    )
    return sorted(conn.execute(found).scalars())


def any_made(conn: Connection) -> bool:
    """Was any account made here?"""
    return conn.execute(select(accounts.c.id).limit(1)).first() is not None


def made_at(conn: Connection, account: str) -> float | None:
    return conn.execute(select(accounts.c.created_at).where(accounts.c.id == account)).scalar_one_or_none()


def ensure(conn: Connection, account: str, name: str, at: float) -> bool:
    """Make the account unless it is there; whether it was made."""
    if exists(conn, account):
        return False
    conn.execute(insert(accounts).values(id=account, name=name, created_at=at))
    return True


def alias(conn: Connection, account: str) -> str | None:
    return conn.execute(select(accounts.c.alias).where(accounts.c.id == account)).scalar_one_or_none()


def has_alias(conn: Connection, name: str) -> str | None:
    """The account with that alias."""
    return conn.execute(select(accounts.c.id).where(accounts.c.alias == name)).scalar_one_or_none()


def set_alias(conn: Connection, account: str, name: str | None) -> None:
    conn.execute(update(accounts).where(accounts.c.id == account).values(alias=name))
