"""Identities found by name within a transaction, or refused; and the record of what is done to them."""

from typing import Any

from sqlalchemy import Connection

from moorage.identity import errors
from moorage.identity.principals.entity import Entity, Kind, entity_of
from moorage.names import AccountId
from moorage.store.metadata import epoch
from moorage.store.metadata.identity import accounts, identities


def named(conn: Connection, kind: Kind, account: AccountId, name: str) -> Any:
    """The row of that user, group or role, whatever the case of `name`; or NoSuchEntity."""
    row = identities.named(conn, kind.name, account, name)
    if row is None:
        raise errors.no_entity(kind.name, name)
    return row


def renamed(
    conn: Connection, kind: Kind, account: AccountId, name: str, new_name: str | None, new_path: str | None
) -> Entity:
    """The user or group under its new name, its new path, or both. NoSuchEntity, EntityAlreadyExists."""
    row = named(conn, kind, account, name)
    if new_name is not None:
        other = identities.named(conn, kind.name, account, new_name)
        if other is not None and other.id != row.id:
            raise errors.already_exists(f"{kind.title} with name {new_name} already exists.")
    changes = {"name": new_name or row.name, "path": new_path or row.path}
    identities.change(conn, row.id, **changes)
    return entity_of(named(conn, kind, account, changes["name"]))


def record(conn: Connection, account: str, event: str, at: float, by: str, **payload: str) -> None:
    """An event of a change, and the epoch raised so that every worker notices."""
    accounts.record(conn, account, event, {**payload, "by": by}, at)
    epoch.advance(conn)
