"""Statements that find what a key id stands for: key or session, its identity, and the policies that apply."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, insert, literal, null, select, union_all

from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.identity.tables import (
    access_keys,
    attachments,
    group_members,
    identities,
    inline_policies,
    pull_tokens,
    roles,
    sessions,
)

_IDENTITY = (
    identities.c.kind.label("identity_kind"),
    identities.c.name.label("identity_name"),
    identities.c.path,
    identities.c.created_at,
    identities.c.boundary_id,
)


_KEY = Query(
    select(
        access_keys.c.id,
        access_keys.c.account,
        access_keys.c.user_id.label("identity_id"),
        access_keys.c.secret,
        *_IDENTITY,
    )
    .select_from(access_keys.outerjoin(identities, identities.c.id == access_keys.c.user_id))
    .where(access_keys.c.id == bindparam("key_id"), access_keys.c.active, access_keys.c.deleted_at.is_(None))
)


def key(conn: Connection, key_id: str) -> Any | None:
    """An active key: id, account, identity_id, secret, and its identity (`identity_kind`, … null: the root)."""
    return _KEY.first(conn, {"key_id": key_id})


def session(conn: Connection, key_id: str) -> Row[Any] | None:
    """Return a session: all columns of `sessions`, its identity as with `key`, and the service of its role.

    `role_service` is null unless the role is service-linked.
    """
    joined = sessions.outerjoin(identities, identities.c.id == sessions.c.identity_id)
    joined = joined.outerjoin(roles, roles.c.id == sessions.c.identity_id)
    statement = select(sessions, *_IDENTITY, roles.c.service.label("role_service")).select_from(joined)
    return conn.execute(statement.where(sessions.c.id == key_id)).one_or_none()


def pull_token(conn: Connection, token_id: str) -> Row[Any] | None:
    """A token that is not revoked: all columns of `pull_tokens`, its identity as with `key`.

    `name` is the token's; `identity_name` the owner's.
    """
    joined = pull_tokens.outerjoin(identities, identities.c.id == pull_tokens.c.identity_id)
    owner = (each for each in _IDENTITY if each.name != "created_at")
    columns = (pull_tokens, *owner, identities.c.created_at.label("identity_created_at"))
    statement: Select[Any] = select(*columns).select_from(joined)
    here = (pull_tokens.c.id == token_id, pull_tokens.c.revoked_at.is_(None))
    return conn.execute(statement.where(*here)).one_or_none()


def is_kept_token(conn: Connection, token_id: str, secret_hash: str) -> bool:
    """Whether there is, or was until lately, that token."""
    here = (pull_tokens.c.id == token_id, pull_tokens.c.secret_hash == secret_hash)
    return conn.execute(select(pull_tokens.c.id).where(*here)).one_or_none() is not None


def add_session(conn: Connection, row: dict[str, object]) -> None:
    """`row` has the columns of `sessions`."""
    conn.execute(insert(sessions).values(row))


class Applied(NamedTuple):
    """A policy that applies to an identity: inline (`name` and `hash`) or managed (`policy_id`)."""

    group: str | None
    """The group it comes through."""
    name: str | None
    hash: str | None
    policy_id: str | None


def _inline(group: Any) -> Select[Any]:
    return select(
        group.label("in_group"), inline_policies.c.name, inline_policies.c.policy_hash, null().label("policy_id")
    )


def _attached(group: Any) -> Select[Any]:
    return select(group.label("in_group"), null().label("name"), null().label("policy_hash"), attachments.c.policy_id)


_MEMBER = group_members.c.user_id == bindparam("identity_id")
_GROUPS = group_members.join(identities, identities.c.id == group_members.c.group_id)
_APPLIED = Query(
    union_all(
        _inline(literal(None)).where(inline_policies.c.identity_id == bindparam("identity_id")),
        _attached(literal(None)).where(attachments.c.identity_id == bindparam("identity_id")),
        _inline(identities.c.name)
        .select_from(_GROUPS.join(inline_policies, inline_policies.c.identity_id == group_members.c.group_id))
        .where(_MEMBER),
        _attached(identities.c.name)
        .select_from(_GROUPS.join(attachments, attachments.c.identity_id == group_members.c.group_id))
        .where(_MEMBER),
    )
)


def applied(conn: Connection, identity_id: str) -> list[Applied]:
    """Own inline policies, own attached ones, then those of the groups, each by name or id."""
    found = [Applied(*row) for row in _APPLIED.all(conn, {"identity_id": identity_id})]
    return sorted(found, key=lambda one: (one.group or "", one.policy_id or "", one.name or ""))
