"""Statements about access keys, and about the last use of keys, pull tokens and roles."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from moorage.store.metadata.database.statement import first_row, rows
from moorage.store.metadata.identity.tables import access_keys, identities, last_uses

MOST_DELETED: Final = 10_000
"""How many ids of deleted keys are kept for one account."""
_PRUNED_AT_ONCE: Final = 100


class Use(NamedTuple):
    """The last use of a key, token or role: when, with which service, in which region."""

    at: float
    service: str
    region: str


class KeyRow(NamedTuple):
    """An access key that is not deleted."""

    id: str
    active: bool
    created_at: float


class OwnedKeyRow(NamedTuple):
    """The owner of an access key that is not deleted. `user_id` and `user_name` are None for a key of the root."""

    account: str
    user_id: str | None
    user_name: str | None


def add(conn: Connection, key_id: str, account: str, user_id: str | None, secret: str, at: float) -> None:
    """Add a key. `secret` is sealed; without `user_id` the key belongs to the account's root."""
    row = {"id": key_id, "account": account, "user_id": user_id, "secret": secret, "active": True, "created_at": at}
    conn.execute(insert(access_keys).values(row))


def of_owner(conn: Connection, account: str, user_id: str | None) -> list[KeyRow]:
    """Return the keys of a user, or of the root, oldest first."""
    statement = select(access_keys.c.id, access_keys.c.active, access_keys.c.created_at)
    in_order = statement.where(*_of(account, user_id)).order_by(access_keys.c.created_at, access_keys.c.id)
    return rows(conn, in_order, KeyRow)


def set_active(conn: Connection, account: str, user_id: str | None, key_id: str, active: bool) -> bool:
    """Activate or deactivate a key. False if the owner has no such key."""
    here = (*_of(account, user_id), access_keys.c.id == key_id)
    return conn.execute(update(access_keys).where(*here).values(active=active)).rowcount > 0


def remove(conn: Connection, account: str, user_id: str | None, key_id: str, at: float) -> bool:
    """Delete a key. False if the owner has no such key. The row stays, without the secret, so the id stays refused."""
    here = (*_of(account, user_id), access_keys.c.id == key_id)
    dead = {"deleted_at": at, "active": False, "secret": ""}
    if not conn.execute(update(access_keys).where(*here).values(dead)).rowcount:
        return False
    conn.execute(delete(last_uses).where(last_uses.c.id == key_id))
    _prune(conn, account)
    return True


def _prune(conn: Connection, account: str) -> None:
    """Delete the rows of deleted keys except the newest `MOST_DELETED` of the account, at most 100 in one call."""
    deleted = select(access_keys.c.id).where(access_keys.c.account == account, access_keys.c.deleted_at.is_not(None))
    newest_first = deleted.order_by(access_keys.c.deleted_at.desc(), access_keys.c.id)
    surplus = list(conn.execute(newest_first.offset(MOST_DELETED).limit(_PRUNED_AT_ONCE)).scalars())
    if surplus:
        conn.execute(delete(access_keys).where(access_keys.c.id.in_(surplus)))


def _of(account: str, user_id: str | None) -> tuple[ColumnElement[bool], ...]:
    owner = access_keys.c.user_id.is_(None) if user_id is None else access_keys.c.user_id == user_id
    return access_keys.c.account == account, owner, access_keys.c.deleted_at.is_(None)


def is_known(conn: Connection, key_id: str) -> bool:
    """Return whether the key exists or existed and was deleted."""
    return conn.execute(select(access_keys.c.id).where(access_keys.c.id == key_id)).first() is not None


def find(conn: Connection, key_id: str) -> OwnedKeyRow | None:
    """Return the owner of a key that is not deleted, or None."""
    joined = access_keys.outerjoin(identities, identities.c.id == access_keys.c.user_id)
    statement = select(access_keys.c.account, access_keys.c.user_id, identities.c.name).select_from(joined)
    here = (access_keys.c.id == key_id, access_keys.c.deleted_at.is_(None))
    return first_row(conn, statement.where(*here), OwnedKeyRow)


def last_use(conn: Connection, used_id: str) -> Use | None:
    """Return the last use of a key, token or role by its id, or None."""
    statement = select(last_uses.c.at, last_uses.c.service, last_uses.c.region)
    return first_row(conn, statement.where(last_uses.c.id == used_id), Use)


def record_uses(conn: Connection, uses: Mapping[str, Use]) -> None:
    """Store the last uses by id. A later use that is stored already stays."""
    known = {row.id: row.at for row in conn.execute(select(last_uses).where(last_uses.c.id.in_(list(uses))))}
    for used_id, use in uses.items():
        values = use._asdict()
        if used_id not in known:
            conn.execute(insert(last_uses).values(id=used_id, **values))
        elif known[used_id] < use.at:
            conn.execute(update(last_uses).where(last_uses.c.id == used_id).values(values))
