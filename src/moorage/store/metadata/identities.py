"""Statements about identities: accounts, users and their inline policies, access keys, sessions.

Whoever changes one of them raises the epoch in the same transaction (`epoch.advance`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, collate, delete, func, insert, null, select, update

from moorage.store.metadata import policies as documents_of_policies
from moorage.store.metadata.tables import (
    access_keys,
    accounts,
    epoch,
    outbox,
    sessions,
    user_policies,
    user_policy_history,
    users,
)
from moorage.store.metadata.tables import policy_documents as documents

_NO_REGION = ""
"""Identities belong to an account, in every region."""


def record(conn: Connection, account: str, kind: str, payload: Mapping[str, str], at: float) -> None:
    """An event of this change, for the jobs to deliver."""
    row = {"at": at, "account": account, "region": _NO_REGION, "kind": kind, "payload": json.dumps(payload)}
    conn.execute(insert(outbox).values(row))


# --- Accounts ---


def account_exists(conn: Connection, account: str) -> bool:
    return account_made_at(conn, account) is not None


def account_made_at(conn: Connection, account: str) -> float | None:
    return conn.execute(select(accounts.c.created_at).where(accounts.c.id == account)).scalar_one_or_none()


def ensure_account(conn: Connection, account: str, name: str, at: float) -> bool:
    """Make the account unless it is there; whether it was made."""
    if account_exists(conn, account):
        return False
    conn.execute(insert(accounts).values(id=account, name=name, created_at=at))
    return True


# --- Users ---


def folded(name: str) -> str:
    """Names that differ only by case are the same name (IAM user guide, names and quotas)."""
    return name.lower()


def add_user(conn: Connection, user_id: str, account: str, name: str, path: str, at: float) -> None:
    row = {"id": user_id, "account": account, "name": name, "name_folded": folded(name), "path": path}
    conn.execute(insert(users).values(**row, created_at=at))


def user_named(conn: Connection, account: str, name: str) -> Row[Any] | None:
    """The user (all columns of `users`) of that name, whatever its case."""
    return conn.execute(
        select(users).where(users.c.account == account, users.c.name_folded == folded(name))
    ).one_or_none()


def user_by_id(conn: Connection, user_id: str) -> Row[Any] | None:
    return conn.execute(select(users).where(users.c.id == user_id)).one_or_none()


def users_page(conn: Connection, account: str, prefix: str, after: str, limit: int) -> Sequence[Row[Any]]:
    """The next users whose path starts with `prefix`, by folded name from `after` on."""
    name = _bytewise(conn, users.c.name_folded)
    return conn.execute(
        select(users)
        .where(users.c.account == account, func.substr(users.c.path, 1, len(prefix)) == prefix, name > after)
        .order_by(name)
        .limit(limit)
    ).all()


def count_users(conn: Connection, account: str) -> int:
    return int(conn.execute(select(func.count()).where(users.c.account == account)).scalar_one())


def remove_user(conn: Connection, user_id: str) -> None:
    """The user and its sessions are gone. Its deleted keys stay known as dead; the caller saw that none lives."""
    conn.execute(update(access_keys).where(access_keys.c.user_id == user_id).values(user_id=None))
    conn.execute(delete(users).where(users.c.id == user_id))


# --- Inline policies ---


def put_policy(conn: Connection, user: Row[Any], name: str, text: str, at: float, by: str) -> None:
    """The user's policy `name` says `text` from now on; its history says so."""
    digest = documents_of_policies.keep(conn, text)
    here = (user_policies.c.user_id == user.id, user_policies.c.name == name)
    changed = conn.execute(update(user_policies).where(*here).values(policy_hash=digest))
    if not changed.rowcount:
        conn.execute(insert(user_policies).values(user_id=user.id, name=name, policy_hash=digest))
    _remember_policy(conn, user, name, digest, at, by)


def remove_policy(conn: Connection, user: Row[Any], name: str, at: float, by: str) -> bool:
    """Whether there was one; its history says that it is gone."""
    gone = conn.execute(delete(user_policies).where(user_policies.c.user_id == user.id, user_policies.c.name == name))
    if not gone.rowcount:
        return False
    _remember_policy(conn, user, name, None, at, by)
    return True


def _remember_policy(conn: Connection, user: Row[Any], name: str, policy_hash: str | None, at: float, by: str) -> None:
    row = {"account": user.account, "user_id": user.id, "name": name, "policy_hash": policy_hash, "at": at, "by": by}
    conn.execute(insert(user_policy_history).values(row))


def policies(conn: Connection, user_id: str) -> list[tuple[str, str]]:
    """Name and hash of each of the user's policies, by name."""
    name = _bytewise(conn, user_policies.c.name)
    statement = select(user_policies.c.name, user_policies.c.policy_hash).where(user_policies.c.user_id == user_id)
    return [(row.name, row.policy_hash) for row in conn.execute(statement.order_by(name))]


def policy_texts(conn: Connection, user_id: str) -> dict[str, str]:
    """The texts of the user's policies by name."""
    statement = (
        select(user_policies.c.name, documents.c.text)
        .join(documents, documents.c.hash == user_policies.c.policy_hash)
        .where(user_policies.c.user_id == user_id)
    )
    return {row.name: row.text for row in conn.execute(statement)}


def policy_history(conn: Connection, user_id: str, name: str) -> list[tuple[str | None, float, str]]:
    """Every state of that policy (hash, None once deleted; at; by), oldest first."""
    state = user_policy_history.c
    statement = select(state.policy_hash, state.at, state.by).where(state.user_id == user_id, state.name == name)
    return [(row.policy_hash, row.at, row.by) for row in conn.execute(statement.order_by(state.id))]


# --- Access keys ---


def add_key(conn: Connection, key_id: str, account: str, user_id: str | None, secret: str, at: float) -> None:
    """`secret` is sealed already; without `user_id` the key is of the account's root."""
    row = {"id": key_id, "account": account, "user_id": user_id, "secret": secret, "active": True, "created_at": at}
    conn.execute(insert(access_keys).values(row))


def keys(conn: Connection, account: str, user_id: str | None) -> list[tuple[str, bool, float]]:
    """The living keys (id, active, created_at) of a user, or of the root, oldest first."""
    statement = select(access_keys.c.id, access_keys.c.active, access_keys.c.created_at)
    in_order = statement.where(*_living_keys(account, user_id)).order_by(access_keys.c.created_at, access_keys.c.id)
    return [(row.id, row.active, row.created_at) for row in conn.execute(in_order)]


def set_key_active(conn: Connection, account: str, user_id: str | None, key_id: str, active: bool) -> bool:
    """Whether there is such a living key."""
    here = (*_living_keys(account, user_id), access_keys.c.id == key_id)
    return conn.execute(update(access_keys).where(*here).values(active=active)).rowcount > 0


def remove_key(conn: Connection, account: str, user_id: str | None, key_id: str, at: float) -> bool:
    """Whether there was such a living key. Its id stays known and dead, its secret does not stay."""
    here = (*_living_keys(account, user_id), access_keys.c.id == key_id)
    dead = {"deleted_at": at, "active": False, "secret": ""}
    return conn.execute(update(access_keys).where(*here).values(dead)).rowcount > 0


def _living_keys(account: str, user_id: str | None) -> tuple[ColumnElement[bool], ...]:
    owner = access_keys.c.user_id.is_(None) if user_id is None else access_keys.c.user_id == user_id
    return access_keys.c.account == account, owner, access_keys.c.deleted_at.is_(None)


# --- Sessions ---


def add_session(conn: Connection, row: Mapping[str, object]) -> None:
    """`row` has every column of `sessions`."""
    conn.execute(insert(sessions).values(row))


# --- Credentials: key or session, its user, that user's policies, and the epoch, in one statement ---

_USER = (users.c.name, users.c.path, users.c.created_at.label("user_created_at"))
_POLICY = (user_policies.c.name.label("policy_name"), user_policies.c.policy_hash)


def _of_key(key_id: str) -> Select[Any]:
    living = (access_keys.c.id == key_id) & access_keys.c.active & access_keys.c.deleted_at.is_(None)
    return select(
        epoch.c.value.label("epoch"),
        access_keys.c.id,
        access_keys.c.account,
        access_keys.c.user_id,
        access_keys.c.secret,
        null().label("token_hash"),
        null().label("issued_at"),
        null().label("expires_at"),
        *_USER,
        *_POLICY,
    ).select_from(
        epoch.outerjoin(access_keys, living)
        .outerjoin(users, users.c.id == access_keys.c.user_id)
        .outerjoin(user_policies, user_policies.c.user_id == users.c.id)
    )


def _of_session(key_id: str) -> Select[Any]:
    return select(
        epoch.c.value.label("epoch"),
        sessions.c.id,
        sessions.c.account,
        sessions.c.user_id,
        sessions.c.secret,
        sessions.c.token_hash,
        sessions.c.issued_at,
        sessions.c.expires_at,
        *_USER,
        *_POLICY,
    ).select_from(
        epoch.outerjoin(sessions, sessions.c.id == key_id)
        .outerjoin(users, users.c.id == sessions.c.user_id)
        .outerjoin(user_policies, user_policies.c.user_id == users.c.id)
    )


def credential(conn: Connection, key_id: str, *, temporary: bool) -> Sequence[Row[Any]]:
    """At least one row, each with the epoch; `id` is None when no such living key or session is known.

    One row for each of the user's policies (policy_name, policy_hash), by name.
    """
    statement = _of_session(key_id) if temporary else _of_key(key_id)
    order = _bytewise(conn, user_policies.c.name)
    return conn.execute(statement.where(epoch.c.id == 1).order_by(order)).all()


def _bytewise(conn: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """The column in the order of its bytes, as SQLite compares anyway."""
    return collate(column, "C") if conn.dialect.name == "postgresql" else column
