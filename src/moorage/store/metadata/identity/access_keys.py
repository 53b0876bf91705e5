"""Statements about access keys, and when keys and roles were last used."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, update

from moorage.store.metadata.identity.tables import access_keys, identities, last_uses

MOST_DELETED: Final = 10_000
"""Deleted keys of one account whose ids stay known."""
_FORGOTTEN_AT_ONCE: Final = 100


class Use(NamedTuple):
    """When a key or role was used last, and for what."""

    at: float
    service: str
    region: str


def add(conn: Connection, key_id: str, account: str, user_id: str | None, secret: str, at: float) -> None:
    """`secret` is sealed already; without `user_id` the key is of the account's root."""
    row = {"id": key_id, "account": account, "user_id": user_id, "secret": secret, "active": True, "created_at": at}
    conn.execute(insert(access_keys).values(row))


def of_owner(conn: Connection, account: str, user_id: str | None) -> list[tuple[str, bool, float]]:
    """The living keys (id, active, created_at) of a user, or of the root, oldest first."""
    statement = select(access_keys.c.id, access_keys.c.active, access_keys.c.created_at)
    in_order = statement.where(*_living(account, user_id)).order_by(access_keys.c.created_at, access_keys.c.id)
    return [(row.id, row.active, row.created_at) for row in conn.execute(in_order)]


def set_active(conn: Connection, account: str, user_id: str | None, key_id: str, active: bool) -> bool:
    """Whether there is such a living key."""
    here = (*_living(account, user_id), access_keys.c.id == key_id)
    return conn.execute(update(access_keys).where(*here).values(active=active)).rowcount > 0


def remove(conn: Connection, account: str, user_id: str | None, key_id: str, at: float) -> bool:
    """Whether there was such a living key. Its id stays known and dead, its secret does not stay."""
    here = (*_living(account, user_id), access_keys.c.id == key_id)
    dead = {"deleted_at": at, "active": False, "secret": ""}
    if not conn.execute(update(access_keys).where(*here).values(dead)).rowcount:
        return False
    conn.execute(delete(last_uses).where(last_uses.c.id == key_id))
    _forget_oldest(conn, account)
    return True


def _forget_oldest(conn: Connection, account: str) -> None:
    """Delete rows of deleted keys beyond the newest `MOST_DELETED` of the account, at most some hundred at once."""
    deleted = select(access_keys.c.id).where(access_keys.c.account == account, access_keys.c.deleted_at.is_not(None))
    newest_first = deleted.order_by(access_keys.c.deleted_at.desc(), access_keys.c.id)
    surplus = list(conn.execute(newest_first.offset(MOST_DELETED).limit(_FORGOTTEN_AT_ONCE)).scalars())
    if surplus:
        conn.execute(delete(access_keys).where(access_keys.c.id.in_(surplus)))


def _living(account: str, user_id: str | None) -> tuple[ColumnElement[bool], ...]:
    owner = access_keys.c.user_id.is_(None) if user_id is None else access_keys.c.user_id == user_id
    return access_keys.c.account == account, owner, access_keys.c.deleted_at.is_(None)


def is_known(conn: Connection, key_id: str) -> bool:
    """Is there such a key, or was there one that was deleted?"""
    return conn.execute(select(access_keys.c.id).where(access_keys.c.id == key_id)).first() is not None


def find(conn: Connection, key_id: str) -> Row[Any] | None:
    """A living key: account, user_id, user_name (None: the root's)."""
    columns = (access_keys.c.account, access_keys.c.user_id, identities.c.name.label("user_name"))
    joined = access_keys.outerjoin(identities, identities.c.id == access_keys.c.user_id)
    statement: Select[Any] = select(*columns).select_from(joined)
    return conn.execute(statement.where(access_keys.c.id == key_id, access_keys.c.deleted_at.is_(None))).one_or_none()


def last_use(conn: Connection, key_or_role_id: str) -> Use | None:
    row = conn.execute(select(last_uses).where(last_uses.c.id == key_or_role_id)).one_or_none()
    return None if row is None else Use(row.at, row.service, row.region)


def note_uses(conn: Connection, uses: Mapping[str, Use]) -> None:
    """Set the last uses by id; one that is newer already stays."""
    known = {row.id: row.at for row in conn.execute(select(last_uses).where(last_uses.c.id.in_(list(uses))))}
    for one, use in uses.items():
        values = use._asdict()
        if one not in known:
            conn.execute(insert(last_uses).values(id=one, **values))
        elif known[one] < use.at:
            conn.execute(update(last_uses).where(last_uses.c.id == one).values(values))
