"""Statements about the policies of identities: inline policies, and attachments of managed policies."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import rows
from moorage.store.metadata.identity.identities import IdentityRow
from moorage.store.metadata.identity.tables import attachments, identities, inline_policies
from moorage.store.metadata.policies import documents
from moorage.store.metadata.tables import policy_documents


class Uses(NamedTuple):
    """How many identities of an account use each managed policy, by policy id."""

    attached: dict[str, int]
    bounding: dict[str, int]
    """As their permissions boundary."""


# --- Inline ---


def put(conn: Connection, identity_id: str, name: str, text: str) -> str:
    """Set the identity's policy `name` to `text`; return the hash of the document."""
    digest = documents.keep(conn, text)
    here = (inline_policies.c.identity_id == identity_id, inline_policies.c.name == name)
    changed = conn.execute(update(inline_policies).where(*here).values(policy_hash=digest))
    if not changed.rowcount:
        conn.execute(insert(inline_policies).values(identity_id=identity_id, name=name, policy_hash=digest))
    return digest


def remove(conn: Connection, identity_id: str, name: str) -> bool:
    """Delete the identity's policy `name`. False if there is none."""
    here = (inline_policies.c.identity_id == identity_id, inline_policies.c.name == name)
    return conn.execute(delete(inline_policies).where(*here)).rowcount > 0


def inline_names(conn: Connection, identity_id: str) -> list[str]:
    """Return the names of the identity's inline policies, in order."""
    name = bytewise(conn, inline_policies.c.name)
    statement = select(inline_policies.c.name).where(inline_policies.c.identity_id == identity_id).order_by(name)
    return list(conn.execute(statement).scalars())


def inline_texts(conn: Connection, identity_id: str) -> dict[str, str]:
    """Return the texts of the identity's inline policies by name, in the order of the names."""
    statement = select(inline_policies.c.name, policy_documents.c.text).join(
        policy_documents, policy_documents.c.hash == inline_policies.c.policy_hash
    )
    found = statement.where(inline_policies.c.identity_id == identity_id)
    return {row.name: row.text for row in conn.execute(found.order_by(bytewise(conn, inline_policies.c.name)))}


def has_inline(conn: Connection, identity_id: str) -> bool:
    """Return whether the identity has any inline policy."""
    found = select(inline_policies.c.name).where(inline_policies.c.identity_id == identity_id)
    return conn.execute(found.limit(1)).first() is not None


# --- Attached ---


def attach(conn: Connection, identity_id: str, policy_id: str) -> bool:
    """Attach a managed policy. False if it is attached already."""
    if policy_id in attached(conn, identity_id):
        return False
    conn.execute(insert(attachments).values(identity_id=identity_id, policy_id=policy_id))
    return True


def detach(conn: Connection, identity_id: str, policy_id: str) -> bool:
    """Detach a managed policy. False if it is not attached."""
    here = (attachments.c.identity_id == identity_id, attachments.c.policy_id == policy_id)
    return conn.execute(delete(attachments).where(*here)).rowcount > 0


def attached(conn: Connection, identity_id: str) -> list[str]:
    """Return the ids of the managed policies that are attached to the identity, in order."""
    statement = select(attachments.c.policy_id).where(attachments.c.identity_id == identity_id)
    return list(conn.execute(statement.order_by(attachments.c.policy_id)).scalars())


def entities_of(
    conn: Connection,
    account: str,
    policy_id: str,
    kinds: Sequence[str],
    path_prefix: str,
    *,
    attached: bool,
    bounded: bool,
    after: tuple[str, str],
    limit: int,
) -> list[IdentityRow]:
    """Return up to `limit` identities that have the policy `attached`, or (`bounded`) as their permissions boundary.

    They are ordered by kind and folded name, and come after `after`, the kind and the folded name of an earlier one.
    """
    having = select(attachments.c.identity_id).where(attachments.c.policy_id == policy_id)
    uses = [
        *([identities.c.id.in_(having)] if attached else []),
        *([identities.c.boundary_id == policy_id] if bounded else []),
    ]
    kind, name = bytewise(conn, identities.c.kind), bytewise(conn, identities.c.name_folded)
    here = (
        identities.c.account == account,
        identities.c.kind.in_(kinds),
        func.substr(identities.c.path, 1, len(path_prefix)) == path_prefix,
        or_(kind > after[0], and_(kind == after[0], name > after[1])),
        or_(*uses),
    )
    columns = (identities.c[field] for field in IdentityRow._fields)
    return rows(conn, select(*columns).where(*here).order_by(kind, name).limit(limit), IdentityRow)


def uses(conn: Connection, account: str) -> Uses:
    """Return how much the account uses each managed policy."""
    attached_to = (
        select(attachments.c.policy_id, func.count().label("number"))
        .join(identities, identities.c.id == attachments.c.identity_id)
        .where(identities.c.account == account)
        .group_by(attachments.c.policy_id)
    )
    bounding = (
        select(identities.c.boundary_id, func.count().label("number"))
        .where(identities.c.account == account, identities.c.boundary_id.is_not(None))
        .group_by(identities.c.boundary_id)
    )
    return Uses(
        {row.policy_id: row.number for row in conn.execute(attached_to)},
        {row.boundary_id: row.number for row in conn.execute(bounding)},
    )
