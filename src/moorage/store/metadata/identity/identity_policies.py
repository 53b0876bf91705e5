"""Statements about the policies of identities: inline ones, and which managed ones are attached."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.identity.tables import attachments, identities, inline_policies
from moorage.store.metadata.policies import repository_policies as documents_of_policies
from moorage.store.metadata.tables import policy_documents as documents

# --- Inline ---


def put(conn: Connection, identity_id: str, name: str, text: str) -> str:
    """The identity's policy `name` says `text` from now on; the document's hash."""
    digest = documents_of_policies.keep(conn, text)
    here = (inline_policies.c.identity_id == identity_id, inline_policies.c.name == name)
    changed = conn.execute(update(inline_policies).where(*here).values(policy_hash=digest))
    if not changed.rowcount:
        conn.execute(insert(inline_policies).values(identity_id=identity_id, name=name, policy_hash=digest))
    return digest


def remove(conn: Connection, identity_id: str, name: str) -> bool:
    """Whether there was one."""
    here = (inline_policies.c.identity_id == identity_id, inline_policies.c.name == name)
    return conn.execute(delete(inline_policies).where(*here)).rowcount > 0


def inline(conn: Connection, identity_id: str) -> list[tuple[str, str]]:
    """Name and hash of each of the identity's inline policies, by name."""
    name = bytewise(conn, inline_policies.c.name)
    statement = select(inline_policies.c.name, inline_policies.c.policy_hash)
    found = statement.where(inline_policies.c.identity_id == identity_id).order_by(name)
    return [(row.name, row.policy_hash) for row in conn.execute(found)]


def inline_texts(conn: Connection, identity_id: str) -> dict[str, str]:
    """The texts of the identity's inline policies by name, in the order of names."""
    statement = select(inline_policies.c.name, documents.c.text).join(
        documents, documents.c.hash == inline_policies.c.policy_hash
    )
    found = statement.where(inline_policies.c.identity_id == identity_id)
    return {row.name: row.text for row in conn.execute(found.order_by(bytewise(conn, inline_policies.c.name)))}


def has_inline(conn: Connection, identity_id: str) -> bool:
    found = select(inline_policies.c.name).where(inline_policies.c.identity_id == identity_id)
    return conn.execute(found.limit(1)).first() is not None


# --- Attached ---


def attach(conn: Connection, identity_id: str, policy_id: str) -> bool:
    """Whether it was not attached before."""
    if policy_id in attached(conn, identity_id):
        return False
    conn.execute(insert(attachments).values(identity_id=identity_id, policy_id=policy_id))
    return True


def detach(conn: Connection, identity_id: str, policy_id: str) -> bool:
    """Whether it was attached."""
    here = (attachments.c.identity_id == identity_id, attachments.c.policy_id == policy_id)
    return conn.execute(delete(attachments).where(*here)).rowcount > 0


def attached(conn: Connection, identity_id: str) -> list[str]:
    """Ids of the managed policies attached to the identity."""
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
) -> Sequence[Row[Any]]:
    """The next identities of the account that have the policy `attached`, or (`bounded`) as their boundary.

    They are ordered by kind and folded name, and come behind `after`, which is both of an earlier one.
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
    return conn.execute(select(identities).where(*here).order_by(kind, name).limit(limit)).all()


def uses(conn: Connection, account: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many identities of the account have each policy attached, and as their boundary, by policy id."""
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
    return (
        {row.policy_id: row.number for row in conn.execute(attached_to)},
        {row.boundary_id: row.number for row in conn.execute(bounding)},
    )
