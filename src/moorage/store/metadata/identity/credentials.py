"""Statements that find a credential by its key id: its owner, and the policies that apply to the owner."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, insert, literal, null, select, union_all

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


class OwnerRow(NamedTuple):
    """The user or role that owns a credential. Every field is None for the root of the account."""

    id: str | None
    kind: str | None
    name: str | None
    path: str | None
    created_at: float | None
    boundary_id: str | None


class KeyRow(NamedTuple):
    """An active access key. `secret` is sealed."""

    id: str
    account: str
    secret: str
    owner: OwnerRow


class SessionRow(NamedTuple):
    """A session, as `tables.sessions` describes its columns. `secret` is sealed."""

    id: str
    account: str
    kind: str
    name: str
    secret: str
    token_hash: str
    issued_at: float
    expires_at: float
    policy_hash: str | None
    policy_ids: str | None
    tags: str | None
    transitive_keys: str | None
    source_identity: str | None
    provider: str | None
    chained: bool
    context: str | None


class FoundSession(NamedTuple):
    """A session with its owner, and the service of its role if the role is service-linked."""

    session: SessionRow
    role_service: str | None
    owner: OwnerRow


class TokenRow(NamedTuple):
    """A pull token that is not revoked."""

    id: str
    account: str
    name: str
    secret_hash: str
    policy_hash: str
    expires_at: float
    owner: OwnerRow


_OWNER = (
    identities.c.id.label("owner_id"),
    identities.c.kind.label("owner_kind"),
    identities.c.name.label("owner_name"),
    identities.c.path.label("owner_path"),
    identities.c.created_at.label("owner_created_at"),
    identities.c.boundary_id.label("owner_boundary_id"),
)
_SESSION = tuple(sessions.c[name] for name in SessionRow._fields)
_TOKEN = tuple(pull_tokens.c[name] for name in TokenRow._fields[:-1])

_KEY = Query(
    select(access_keys.c.id, access_keys.c.account, access_keys.c.secret, *_OWNER)
    .select_from(access_keys.outerjoin(identities, identities.c.id == access_keys.c.user_id))
    .where(access_keys.c.id == bindparam("key_id"), access_keys.c.active, access_keys.c.deleted_at.is_(None))
)


def key(conn: Connection, key_id: str) -> KeyRow | None:
    """Return an active key, or None."""
    row = _KEY.first(conn, {"key_id": key_id})
    return None if row is None else KeyRow(row.id, row.account, row.secret, OwnerRow._make(row[3:]))


def session(conn: Connection, key_id: str) -> FoundSession | None:
    """Return a session, which may have expired, or None."""
    joined = sessions.outerjoin(identities, identities.c.id == sessions.c.identity_id)
    joined = joined.outerjoin(roles, roles.c.id == sessions.c.identity_id)
    statement = select(*_SESSION, roles.c.service, *_OWNER).select_from(joined)
    row = conn.execute(statement.where(sessions.c.id == key_id)).one_or_none()
    if row is None:
        return None
    number = len(_SESSION)
    return FoundSession(SessionRow._make(row[:number]), row.service, OwnerRow._make(row[number + 1 :]))


def pull_token(conn: Connection, token_id: str) -> TokenRow | None:
    """Return a token that is not revoked, which may have expired, or None."""
    joined = pull_tokens.outerjoin(identities, identities.c.id == pull_tokens.c.identity_id)
    statement = select(*_TOKEN, *_OWNER).select_from(joined)
    here = (pull_tokens.c.id == token_id, pull_tokens.c.revoked_at.is_(None))
    row = conn.execute(statement.where(*here)).one_or_none()
    number = len(_TOKEN)
    return None if row is None else TokenRow._make((*row[:number], OwnerRow._make(row[number:])))


def is_known_token(conn: Connection, token_id: str, secret_hash: str) -> bool:
    """Return whether the token exists, or was revoked or expired but is still stored."""
    here = (pull_tokens.c.id == token_id, pull_tokens.c.secret_hash == secret_hash)
    return conn.execute(select(pull_tokens.c.id).where(*here)).one_or_none() is not None


def add_session(conn: Connection, row: SessionRow, identity_id: str | None) -> None:
    """Add a session of that user or role; None: of the root of the account."""
    conn.execute(insert(sessions).values(identity_id=identity_id, **row._asdict()))


class Applied(NamedTuple):
    """A policy that applies to an identity: inline (`name` and `hash`) or managed (`policy_id`)."""

    group: str | None
    """The name of the group that the user has the policy through."""
    name: str | None
    hash: str | None
    policy_id: str | None


def _inline(group: Any) -> Select[Any]:
    return select(
        group.label("group"),
        inline_policies.c.name.label("name"),
        inline_policies.c.policy_hash.label("hash"),
        null().label("policy_id"),
    )


def _attached(group: Any) -> Select[Any]:
    return select(group.label("group"), null().label("name"), null().label("hash"), attachments.c.policy_id)


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
    ),
    Applied,
)


def applied(conn: Connection, identity_id: str) -> list[Applied]:
    """Return the policies of an identity: its inline ones, its attached ones, then those of its groups, by name."""
    found = _APPLIED.all(conn, {"identity_id": identity_id})
    return sorted(found, key=lambda one: (one.group or "", one.policy_id or "", one.name or ""))
