"""Identities found by name within a transaction, or refused; and the record of what is done to them."""

from typing import Any

from sqlalchemy import Connection

from moorage.identity import faults
from moorage.identity.entity import Kind
from moorage.names import AccountId
from moorage.store.metadata import accounts, epoch, identities


def named(conn: Connection, kind: Kind, account: AccountId, name: str) -> Any:
    """The row of that user, group or role, whatever the case of `name`; or NoSuchEntity."""
    row = identities.named(conn, kind.name, account, name)
    if row is None:
        raise faults.no_entity(kind.name, name)
    return row


def record(conn: Connection, account: str, event: str, at: float, by: str, **payload: str) -> None:
    """An event of a change, and the epoch raised so that every worker notices."""
    accounts.record(conn, account, event, {**payload, "by": by}, at)
    epoch.advance(conn)
