"""Statements about identities: users, groups and roles; who is in which group; tags; history.

`kind` is `user`, `group` or `role`. Whoever changes something raises the epoch in the same transaction
(`epoch.advance`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.identity.tables import (
    access_keys,
    group_members,
    identities,
    identity_history,
    identity_tags,
    last_uses,
    pull_tokens,
    roles,
    sessions,
)
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.tables import policy_documents

_ROLE = (roles.c.trust_hash, roles.c.max_session_seconds, roles.c.description, roles.c.service)
_USED = (
    last_uses.c.at.label("used_at"),
    last_uses.c.service.label("used_service"),
    last_uses.c.region.label("used_region"),
)


_TAGS = Query(
    select(identity_tags.c.key, identity_tags.c.value, identity_tags.c.key_folded).where(
        identity_tags.c.owner_id == bindparam("owner_id")
    )
)


def folded(name: str) -> str:
    """Names that differ only by case are the same name (IAM user guide, names and quotas)."""
    return name.lower()


# --- Identities ---


def add(
    conn: Connection,
    kind: str,
    identity_id: str,
    account: str,
    name: str,
    path: str,
    boundary_id: str | None,
    at: float,
) -> None:
    row = {"id": identity_id, "account": account, "kind": kind, "name": name, "name_folded": folded(name)}
    conn.execute(insert(identities).values(**row, path=path, boundary_id=boundary_id, created_at=at))


def add_role(
    conn: Connection, role_id: str, trust_hash: str, max_session_seconds: int, description: str, service: str | None
) -> None:
    """What a role has beside the row that `add` made."""
    row = {"id": role_id, "trust_hash": trust_hash, "max_session_seconds": max_session_seconds}
    conn.execute(insert(roles).values(**row, description=description, service=service))


def _selected(kind: str) -> Select[Any]:
    """All columns of `identities`; of roles also those of `roles`, the trust policy's text, and the last use."""
    if kind != "role":
        return select(identities).where(identities.c.kind == kind)
    return (
        select(identities, *_ROLE, policy_documents.c.text.label("trust"), *_USED)
        .join(roles, roles.c.id == identities.c.id)
        .join(policy_documents, policy_documents.c.hash == roles.c.trust_hash)
        .outerjoin(last_uses, last_uses.c.id == identities.c.id)
        .where(identities.c.kind == kind)
    )


@cache
def _named(kind: str) -> Query[Any]:
    here = (identities.c.account == bindparam("account"), identities.c.name_folded == bindparam("folded"))
    return Query(_selected(kind).where(*here))


@cache
def _by_id(kind: str) -> Query[Any]:
    return Query(_selected(kind).where(identities.c.id == bindparam("id")))


def named(conn: Connection, kind: str, account: str, name: str) -> Any | None:
    """The identity of that name, whatever its case."""
    return _named(kind).first(conn, {"account": account, "folded": folded(name)})


def by_id(conn: Connection, kind: str, identity_id: str) -> Any | None:
    return _by_id(kind).first(conn, {"id": identity_id})


def exists(conn: Connection, identity_id: str) -> bool:
    return conn.execute(select(identities.c.id).where(identities.c.id == identity_id)).one_or_none() is not None


def page(conn: Connection, kind: str, account: str, prefix: str, after: str, limit: int) -> Sequence[Row[Any]]:
    """The next ones whose path starts with `prefix`, by folded name from `after` on."""
    name = bytewise(conn, identities.c.name_folded)
    here = (identities.c.account == account, func.substr(identities.c.path, 1, len(prefix)) == prefix, name > after)
    return conn.execute(_selected(kind).where(*here).order_by(name).limit(limit)).all()


def count(conn: Connection, kind: str, account: str) -> int:
    here = (identities.c.account == account, identities.c.kind == kind)
    return int(conn.execute(select(func.count()).where(*here)).scalar_one())


def change(conn: Connection, identity_id: str, **values: Any) -> None:
    """Set columns of `identities`; with `name` goes `name_folded`."""
    if "name" in values:
        values["name_folded"] = folded(values["name"])
    conn.execute(update(identities).where(identities.c.id == identity_id).values(values))


def change_role(conn: Connection, role_id: str, **values: Any) -> None:
    """Set columns of `roles`."""
    conn.execute(update(roles).where(roles.c.id == role_id).values(values))


def remove(conn: Connection, identity_id: str) -> None:
    """The identity is gone with its sessions, tokens, policies and memberships. Its deleted keys stay known as dead."""
    conn.execute(update(access_keys).where(access_keys.c.user_id == identity_id).values(user_id=None))
    conn.execute(delete(identity_tags).where(identity_tags.c.owner_id == identity_id))
    tokens = select(pull_tokens.c.id).where(pull_tokens.c.identity_id == identity_id)
    conn.execute(delete(last_uses).where(or_(last_uses.c.id == identity_id, last_uses.c.id.in_(tokens))))
    ended = conn.execute(delete(sessions).where(sessions.c.identity_id == identity_id).returning(sessions.c.account))
    for account, number in Counter(ended.scalars()).items():
        usage.give_back(conn, usage.sessions_of_account(account), number)
    usage.forget(conn, usage.sessions_of_identity("", identity_id))
    conn.execute(delete(identities).where(identities.c.id == identity_id))


# --- Groups and their members ---


def join(conn: Connection, user_id: str, group_id: str, at: float) -> bool:
    """Whether the user was not in the group before."""
    here = (group_members.c.user_id == user_id, group_members.c.group_id == group_id)
    if conn.execute(select(group_members.c.user_id).where(*here)).one_or_none() is not None:
        return False
    conn.execute(insert(group_members).values(user_id=user_id, group_id=group_id, added_at=at))
    return True


def leave(conn: Connection, user_id: str, group_id: str) -> bool:
    """Whether the user was in the group."""
    here = (group_members.c.user_id == user_id, group_members.c.group_id == group_id)
    return conn.execute(delete(group_members).where(*here)).rowcount > 0


def groups_of(conn: Connection, user_id: str) -> Sequence[Row[Any]]:
    """The groups a user is in, by name."""
    joined = select(identities).join(group_members, group_members.c.group_id == identities.c.id)
    name = bytewise(conn, identities.c.name_folded)
    return conn.execute(joined.where(group_members.c.user_id == user_id).order_by(name)).all()


def members(conn: Connection, group_id: str, after: str = "", limit: int | None = None) -> Sequence[Row[Any]]:
    """The users in a group, by folded name from `after` on."""
    joined = select(identities).join(group_members, group_members.c.user_id == identities.c.id)
    name = bytewise(conn, identities.c.name_folded)
    found = joined.where(group_members.c.group_id == group_id, name > after).order_by(name)
    return conn.execute(found if limit is None else found.limit(limit)).all()


# --- Tags ---


def tags(conn: Connection, owner_id: str) -> dict[str, str]:
    """The tags of a user, role or managed policy, by key."""
    rows = sorted(_TAGS.all(conn, {"owner_id": owner_id}), key=lambda row: str(row.key_folded))
    return {row.key: row.value for row in rows}


def tags_of(conn: Connection, owner_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The tags of each of the owners that has some."""
    found: dict[str, dict[str, str]] = {}
    if not owner_ids:
        return found
    statement = select(identity_tags).where(identity_tags.c.owner_id.in_(owner_ids))
    for row in conn.execute(statement.order_by(bytewise(conn, identity_tags.c.key_folded))):
        found.setdefault(row.owner_id, {})[row.key] = row.value
    return found


def set_tags(conn: Connection, owner_id: str, values: Mapping[str, str]) -> None:
    """Set these tags; a key that differs by case only is the same one."""
    untag(conn, owner_id, values)
    rows = [
        {"owner_id": owner_id, "key_folded": folded(key), "key": key, "value": value} for key, value in values.items()
    ]
    if rows:
        conn.execute(insert(identity_tags), rows)


def untag(conn: Connection, owner_id: str, keys: Iterable[str]) -> None:
    wanted = [folded(key) for key in keys]
    conn.execute(
        delete(identity_tags).where(identity_tags.c.owner_id == owner_id, identity_tags.c.key_folded.in_(wanted))
    )


# --- History ---


def remember(
    conn: Connection, account: str, owner_id: str, aspect: str, name: str, value: str | None, at: float, by: str
) -> None:
    """From `at` on this aspect of the owner has this value; None: no longer any."""
    row = {"account": account, "owner_id": owner_id, "aspect": aspect, "name": name, "value": value}
    conn.execute(insert(identity_history).values(**row, at=at, by=by))
    histories.trim(conn, histories.IDENTITIES, row)


def history(conn: Connection, owner_id: str, aspect: str, name: str) -> list[tuple[str | None, float, str]]:
    """Every state of that aspect (value, at, by), oldest first."""
    state = identity_history.c
    here = (state.owner_id == owner_id, state.aspect == aspect, state.name == name)
    statement = select(state.value, state.at, state.by).where(*here).order_by(state.id)
    return [(row.value, row.at, row.by) for row in conn.execute(statement)]
