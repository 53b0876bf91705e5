"""Statements about users, groups and roles (`kind` is `user`, `group` or `role`), their memberships, tags and history.

The rules in `identity` record an event for every change, which raises the authorization epoch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import Change, Query, rows
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


class IdentityRow(NamedTuple):
    """A user, group or role."""

    id: str
    account: str
    kind: str
    name: str
    name_folded: str
    path: str
    created_at: float
    boundary_id: str | None


class RoleRow(NamedTuple):
    """A role, with the text of its trust policy and its last use."""

    id: str
    account: str
    kind: str
    name: str
    name_folded: str
    path: str
    created_at: float
    boundary_id: str | None
    trust_hash: str
    trust: str
    max_session_seconds: int
    description: str
    service: str | None
    used_at: float | None
    used_service: str | None
    used_region: str | None


class StateRow(NamedTuple):
    """The value of an aspect of an identity from `at` on; None: it has no value any more."""

    value: str | None
    at: float
    by: str


class _TagRow(NamedTuple):
    key: str
    value: str
    key_folded: str


_IDENTITY = tuple(identities.c[name] for name in IdentityRow._fields)
_ROLES = (
    select(
        *_IDENTITY,
        roles.c.trust_hash,
        policy_documents.c.text.label("trust"),
        roles.c.max_session_seconds,
        roles.c.description,
        roles.c.service,
        last_uses.c.at.label("used_at"),
        last_uses.c.service.label("used_service"),
        last_uses.c.region.label("used_region"),
    )
    .join(roles, roles.c.id == identities.c.id)
    .join(policy_documents, policy_documents.c.hash == roles.c.trust_hash)
    .outerjoin(last_uses, last_uses.c.id == identities.c.id)
)
_BY_NAME = (
    identities.c.account == bindparam("account"),
    identities.c.kind == bindparam("kind"),
    identities.c.name_folded == bindparam("folded"),
)
_BY_ID = (identities.c.id == bindparam("id"), identities.c.kind == bindparam("kind"))
_NAMED = Query(select(*_IDENTITY).where(*_BY_NAME), IdentityRow)
_WITH_ID = Query(select(*_IDENTITY).where(*_BY_ID), IdentityRow)
_NAMED_ROLE = Query(_ROLES.where(*_BY_NAME), RoleRow)
_ROLE_WITH_ID = Query(_ROLES.where(*_BY_ID), RoleRow)


class _CountRow(NamedTuple):
    number: int


_ADD = Change(insert(identities).values({name: bindparam(name) for name in IdentityRow._fields}))
_COUNT = Query(
    select(func.count().label("number"))
    .select_from(identities)
    .where(identities.c.account == bindparam("account"), identities.c.kind == bindparam("kind")),
    _CountRow,
)
_ADD_TAG = Change(
    insert(identity_tags).values({name: bindparam(name) for name in ("owner_id", "key_folded", "key", "value")})
)
_UNTAG = Change(
    delete(identity_tags).where(
        identity_tags.c.owner_id == bindparam("owner"),
        identity_tags.c.key_folded.in_(bindparam("keys", expanding=True)),
    )
)
_REMEMBER = Change(
    insert(identity_history).values(
        {name: bindparam(name) for name in ("account", "owner_id", "aspect", "name", "value", "at", "by")}
    )
)
_TAGS = Query(
    select(identity_tags.c.key, identity_tags.c.value, identity_tags.c.key_folded).where(
        identity_tags.c.owner_id == bindparam("owner_id")
    ),
    _TagRow,
)


def folded(name: str) -> str:
    """Return the name as it is compared: IAM ignores case (IAM user guide, names and quotas)."""
    return name.lower()


# --- Identities ---


def add(conn: Connection, row: IdentityRow) -> None:
    """Add a user, a group, or the part of a role that every identity has."""
    _ADD.run(conn, row._asdict())


def add_role(
    conn: Connection, role_id: str, trust_hash: str, max_session_seconds: int, description: str, service: str | None
) -> None:
    """Add the part of a role that only roles have."""
    row = {"id": role_id, "trust_hash": trust_hash, "max_session_seconds": max_session_seconds}
    conn.execute(insert(roles).values(**row, description=description, service=service))


def named(conn: Connection, kind: str, account: str, name: str) -> IdentityRow | None:
    """Return the identity with that name in any case, or None."""
    return _NAMED.first(conn, {"kind": kind, "account": account, "folded": folded(name)})


def with_id(conn: Connection, kind: str, identity_id: str) -> IdentityRow | None:
    """Return the identity with that unique id, or None."""
    return _WITH_ID.first(conn, {"kind": kind, "id": identity_id})


def role_named(conn: Connection, account: str, name: str) -> RoleRow | None:
    """Return the role with that name in any case, or None."""
    return _NAMED_ROLE.first(conn, {"kind": "role", "account": account, "folded": folded(name)})


def role_with_id(conn: Connection, role_id: str) -> RoleRow | None:
    """Return the role with that unique id, or None."""
    return _ROLE_WITH_ID.first(conn, {"kind": "role", "id": role_id})


def exists(conn: Connection, identity_id: str) -> bool:
    """Return whether there is an identity with that unique id."""
    return conn.execute(select(identities.c.id).where(identities.c.id == identity_id)).one_or_none() is not None


def page(conn: Connection, kind: str, account: str, prefix: str, after: str, limit: int) -> list[IdentityRow]:
    """Return up to `limit` identities whose path starts with `prefix`, by folded name, after `after`, one of these."""
    statement = select(*_IDENTITY).where(identities.c.kind == kind)
    return rows(conn, _page(conn, statement, account, prefix, after, limit), IdentityRow)


def roles_page(conn: Connection, account: str, prefix: str, after: str, limit: int) -> list[RoleRow]:
    """Return a page of roles, as `page` does."""
    statement = _ROLES.where(identities.c.kind == "role")
    return rows(conn, _page(conn, statement, account, prefix, after, limit), RoleRow)


def _page(
    conn: Connection, statement: Select[*tuple[object, ...]], account: str, prefix: str, after: str, limit: int
) -> Select[*tuple[object, ...]]:
    name = bytewise(conn, identities.c.name_folded)
    here = (identities.c.account == account, func.substr(identities.c.path, 1, len(prefix)) == prefix, name > after)
    return statement.where(*here).order_by(name).limit(limit)


def count(conn: Connection, kind: str, account: str) -> int:
    """Return how many identities of that kind the account has."""
    found = _COUNT.first(conn, {"account": account, "kind": kind})
    return 0 if found is None else found.number


def rename(conn: Connection, identity_id: str, name: str, path: str) -> None:
    """Set the name and the path of an identity."""
    values = {"name": name, "name_folded": folded(name), "path": path}
    conn.execute(update(identities).where(identities.c.id == identity_id).values(values))


def set_boundary(conn: Connection, identity_id: str, boundary_id: str | None) -> None:
    """Set the permissions boundary of a user or role; None removes it."""
    conn.execute(update(identities).where(identities.c.id == identity_id).values(boundary_id=boundary_id))


def set_trust(conn: Connection, role_id: str, trust_hash: str) -> None:
    """Set the trust policy of a role."""
    conn.execute(update(roles).where(roles.c.id == role_id).values(trust_hash=trust_hash))


def describe_role(conn: Connection, role_id: str, max_session_seconds: int, description: str) -> None:
    """Set the session limit and the description of a role."""
    values = {"max_session_seconds": max_session_seconds, "description": description}
    conn.execute(update(roles).where(roles.c.id == role_id).values(values))


def remove(conn: Connection, identity_id: str) -> None:
    """Delete an identity with its sessions, tokens, policies and memberships.

    The ids of its deleted keys stay, so that they are never accepted again.
    """
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


def add_member(conn: Connection, user_id: str, group_id: str, at: float) -> bool:
    """Add a user to a group. False if the user is in the group already."""
    here = (group_members.c.user_id == user_id, group_members.c.group_id == group_id)
    if conn.execute(select(group_members.c.user_id).where(*here)).one_or_none() is not None:
        return False
    conn.execute(insert(group_members).values(user_id=user_id, group_id=group_id, added_at=at))
    return True


def remove_member(conn: Connection, user_id: str, group_id: str) -> bool:
    """Remove a user from a group. False if the user is not in the group."""
    here = (group_members.c.user_id == user_id, group_members.c.group_id == group_id)
    return conn.execute(delete(group_members).where(*here)).rowcount > 0


def groups_of(conn: Connection, user_id: str) -> list[IdentityRow]:
    """Return the groups that a user is in, by name."""
    joined = select(*_IDENTITY).join(group_members, group_members.c.group_id == identities.c.id)
    name = bytewise(conn, identities.c.name_folded)
    return rows(conn, joined.where(group_members.c.user_id == user_id).order_by(name), IdentityRow)


def members(conn: Connection, group_id: str, after: str = "", limit: int | None = None) -> list[IdentityRow]:
    """Return the users in a group by folded name, after the folded name `after`."""
    joined = select(*_IDENTITY).join(group_members, group_members.c.user_id == identities.c.id)
    name = bytewise(conn, identities.c.name_folded)
    found = joined.where(group_members.c.group_id == group_id, name > after).order_by(name)
    return rows(conn, found if limit is None else found.limit(limit), IdentityRow)


# --- Tags ---


def tags(conn: Connection, owner_id: str) -> dict[str, str]:
    """Return the tags of a user, role or managed policy by key, ordered by folded key."""
    found = sorted(_TAGS.all(conn, {"owner_id": owner_id}), key=lambda row: row.key_folded)
    return {row.key: row.value for row in found}


def set_tags(conn: Connection, owner_id: str, values: Mapping[str, str]) -> None:
    """Set tags and keep the others. Keys that differ only in case are the same key."""
    if not values:
        return
    untag(conn, owner_id, values)
    _ADD_TAG.run_each(
        conn,
        [
            {"owner_id": owner_id, "key_folded": folded(key), "key": key, "value": value}
            for key, value in values.items()
        ],
    )


def untag(conn: Connection, owner_id: str, keys: Iterable[str]) -> None:
    """Remove tags by key, in any case."""
    _UNTAG.run(conn, {"owner": owner_id, "keys": [folded(key) for key in keys]})


# --- History ---


def remember(
    conn: Connection, account: str, owner_id: str, aspect: str, name: str, value: str | None, at: float, by: str
) -> None:
    """Add an entry to the history: from `at` on this aspect of the owner has this value; None: it has none any more."""
    row = {"account": account, "owner_id": owner_id, "aspect": aspect, "name": name, "value": value}
    _REMEMBER.run(conn, {**row, "at": at, "by": by})
    histories.trim(conn, histories.IDENTITIES, row)


def history(conn: Connection, owner_id: str, aspect: str, name: str) -> list[StateRow]:
    """Return every value that the aspect of the owner had, oldest first."""
    state = identity_history.c
    here = (state.owner_id == owner_id, state.aspect == aspect, state.name == name)
    return rows(conn, select(state.value, state.at, state.by).where(*here).order_by(state.id), StateRow)
