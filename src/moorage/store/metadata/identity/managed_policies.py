"""Statements about the managed policies of accounts and their versions."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import first_row, rows
from moorage.store.metadata.identity.identities import folded
from moorage.store.metadata.identity.tables import (
    attachments,
    identities,
    identity_tags,
    managed_policies,
    policy_versions,
)
from moorage.store.metadata.policies import documents
from moorage.store.metadata.tables import policy_documents


class PolicyRow(NamedTuple):
    """A managed policy; `policy_hash` is the hash of its default version."""

    id: str
    account: str
    name: str
    name_folded: str
    path: str
    description: str
    created_at: float
    updated_at: float
    default_version: int
    newest_version: int
    policy_hash: str


class VersionRow(NamedTuple):
    """A version of a managed policy, with the text of its document."""

    version: int
    policy_hash: str
    created_at: float
    text: str


_SELECTED = select(*(managed_policies.c[name] for name in PolicyRow._fields[:-1]), policy_versions.c.policy_hash).join(
    policy_versions,
    and_(
        policy_versions.c.policy_id == managed_policies.c.id,
        policy_versions.c.version == managed_policies.c.default_version,
    ),
)


def add(
    conn: Connection, policy_id: str, account: str, name: str, path: str, description: str, text: str, at: float
) -> str:
    """Add a policy with its first version, which is the default; return the hash of the document."""
    conn.execute(
        insert(managed_policies).values(
            id=policy_id,
            account=account,
            name=name,
            name_folded=folded(name),
            path=path,
            description=description,
            created_at=at,
            updated_at=at,
            default_version=1,
            newest_version=1,
        )
    )
    return add_version(conn, policy_id, 1, text, at)


def named(conn: Connection, account: str, name: str) -> PolicyRow | None:
    """Return the policy with that name in any case, or None."""
    here = (managed_policies.c.account == account, managed_policies.c.name_folded == folded(name))
    return first_row(conn, _SELECTED.where(*here), PolicyRow)


def by_ids(conn: Connection, policy_ids: Iterable[str]) -> dict[str, PolicyRow]:
    """Return the policies that exist, by id."""
    wanted = list(policy_ids)
    if not wanted:
        return {}
    return {row.id: row for row in rows(conn, _SELECTED.where(managed_policies.c.id.in_(wanted)), PolicyRow)}


def of_account(conn: Connection, account: str, after: str, limit: int) -> list[PolicyRow]:
    """Return up to `limit` policies of the account by folded name, after the folded name `after`."""
    name = bytewise(conn, managed_policies.c.name_folded)
    found = _SELECTED.where(managed_policies.c.account == account, name > after).order_by(name)
    return rows(conn, found.limit(limit), PolicyRow)


def page(
    conn: Connection,
    account: str,
    path_prefix: str,
    after: str,
    limit: int,
    *,
    attached: bool = False,
    bounding: bool = False,
) -> list[PolicyRow]:
    """Return up to `limit` policies of the account by path and name together, after the path and name `after`.

    `attached`, `bounding`: only policies that are attached to an identity, or are the boundary of one.
    """
    column = managed_policies.c
    position = bytewise(conn, column.path + column.name)
    here = [column.account == account, func.substr(column.path, 1, len(path_prefix)) == path_prefix, position > after]
    if attached:
        here.append(column.id.in_(select(attachments.c.policy_id)))
    if bounding:
        here.append(column.id.in_(select(identities.c.boundary_id).where(identities.c.account == account)))
    return rows(conn, _SELECTED.where(*here).order_by(position).limit(limit), PolicyRow)


def count(conn: Connection, account: str) -> int:
    """Return how many policies the account has."""
    return int(conn.execute(select(func.count()).where(managed_policies.c.account == account)).scalar_one())


def count_versions(conn: Connection, account: str) -> int:
    """Return how many versions all policies of the account have together."""
    statement = select(func.count()).select_from(managed_policies.join(policy_versions))
    return int(conn.execute(statement.where(managed_policies.c.account == account)).scalar_one())


def remove(conn: Connection, policy_id: str) -> None:
    """Delete a policy with its versions and tags."""
    conn.execute(delete(identity_tags).where(identity_tags.c.owner_id == policy_id))
    conn.execute(delete(managed_policies).where(managed_policies.c.id == policy_id))


# --- Versions ---


def add_version(conn: Connection, policy_id: str, version: int, text: str, at: float) -> str:
    """Add a version; return the hash of the document."""
    digest = documents.keep(conn, text)
    row = {"policy_id": policy_id, "version": version, "policy_hash": digest, "created_at": at}
    conn.execute(insert(policy_versions).values(row))
    conn.execute(
        update(managed_policies).where(managed_policies.c.id == policy_id).values(newest_version=version, updated_at=at)
    )
    return digest


def set_default(conn: Connection, policy_id: str, version: int, at: float) -> None:
    """Make a version the default."""
    conn.execute(
        update(managed_policies)
        .where(managed_policies.c.id == policy_id)
        .values(default_version=version, updated_at=at)
    )


def versions(conn: Connection, policy_id: str) -> list[VersionRow]:
    """Return every version, newest first."""
    columns = (
        policy_versions.c.version,
        policy_versions.c.policy_hash,
        policy_versions.c.created_at,
        policy_documents.c.text,
    )
    statement = select(*columns).join(policy_documents).where(policy_versions.c.policy_id == policy_id)
    return rows(conn, statement.order_by(policy_versions.c.version.desc()), VersionRow)


def remove_version(conn: Connection, policy_id: str, version: int) -> None:
    """Delete a version."""
    here = (policy_versions.c.policy_id == policy_id, policy_versions.c.version == version)
    conn.execute(delete(policy_versions).where(*here))
