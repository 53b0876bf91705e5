"""Statements about the managed policies of accounts and their versions."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.identity.identities import folded
from moorage.store.metadata.identity.tables import (
    attachments,
    identities,
    identity_tags,
    managed_policies,
    policy_versions,
)
from moorage.store.metadata.policies import repository_policies as documents_of_policies
from moorage.store.metadata.tables import policy_documents as documents

_DEFAULT = and_(
    policy_versions.c.policy_id == managed_policies.c.id,
    policy_versions.c.version == managed_policies.c.default_version,
)


def _selected() -> Select[Any]:
    """All columns of `managed_policies`, and the hash of the default version."""
    return select(managed_policies, policy_versions.c.policy_hash).join(policy_versions, _DEFAULT)


def add(
    conn: Connection, policy_id: str, account: str, name: str, path: str, description: str, text: str, at: float
) -> str:
    """A policy with its first version, the default; the document's hash."""
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


def named(conn: Connection, account: str, name: str) -> Row[Any] | None:
    """The policy of that name, whatever its case."""
    here = (managed_policies.c.account == account, managed_policies.c.name_folded == folded(name))
    return conn.execute(_selected().where(*here)).one_or_none()


def by_ids(conn: Connection, policy_ids: Iterable[str]) -> dict[str, Row[Any]]:
    """Those of the policies that are there."""
    wanted = list(policy_ids)
    if not wanted:
        return {}
    return {row.id: row for row in conn.execute(_selected().where(managed_policies.c.id.in_(wanted)))}


def all_of(conn: Connection, account: str, after: str = "", limit: int | None = None) -> Sequence[Row[Any]]:
    """The account's policies, by folded name from `after` on."""
    name = bytewise(conn, managed_policies.c.name_folded)
    found = _selected().where(managed_policies.c.account == account, name > after).order_by(name)
    return conn.execute(found if limit is None else found.limit(limit)).all()


def page(
    conn: Connection,
    account: str,
    path_prefix: str,
    after: str,
    limit: int,
    *,
    attached: bool = False,
    bounding: bool = False,
) -> Sequence[Row[Any]]:
    """The next policies of the account by path and name together, which are behind `after`.

    `attached`, `bounding`: only those attached to some identity, or that are the boundary of one.
    """
    column = managed_policies.c
    place = bytewise(conn, column.path + column.name)
    here = [column.account == account, func.substr(column.path, 1, len(path_prefix)) == path_prefix, place > after]
    if attached:
        here.append(column.id.in_(select(attachments.c.policy_id)))
    if bounding:
        here.append(column.id.in_(select(identities.c.boundary_id).where(identities.c.account == account)))
    return conn.execute(_selected().where(*here).order_by(place).limit(limit)).all()


def count(conn: Connection, account: str) -> int:
    return int(conn.execute(select(func.count()).where(managed_policies.c.account == account)).scalar_one())


def count_versions(conn: Connection, account: str) -> int:
    statement = select(func.count()).select_from(managed_policies.join(policy_versions))
    return int(conn.execute(statement.where(managed_policies.c.account == account)).scalar_one())


def remove(conn: Connection, policy_id: str) -> None:
    conn.execute(delete(identity_tags).where(identity_tags.c.owner_id == policy_id))
    conn.execute(delete(managed_policies).where(managed_policies.c.id == policy_id))


# --- Versions ---


def add_version(conn: Connection, policy_id: str, version: int, text: str, at: float) -> str:
    """One more version; the document's hash."""
    digest = documents_of_policies.keep(conn, text)
    row = {"policy_id": policy_id, "version": version, "policy_hash": digest, "created_at": at}
    conn.execute(insert(policy_versions).values(row))
    conn.execute(
        update(managed_policies).where(managed_policies.c.id == policy_id).values(newest_version=version, updated_at=at)
    )
    return digest


def set_default(conn: Connection, policy_id: str, version: int, at: float) -> None:
    conn.execute(
        update(managed_policies)
        .where(managed_policies.c.id == policy_id)
        .values(default_version=version, updated_at=at)
    )


def versions(conn: Connection, policy_id: str) -> Sequence[Row[Any]]:
    """Every version (version, policy_hash, created_at, text), newest first."""
    statement = select(policy_versions, documents.c.text).join(documents)
    found = statement.where(policy_versions.c.policy_id == policy_id).order_by(policy_versions.c.version.desc())
    return conn.execute(found).all()


def remove_version(conn: Connection, policy_id: str, version: int) -> None:
    here = (policy_versions.c.policy_id == policy_id, policy_versions.c.version == version)
    conn.execute(delete(policy_versions).where(*here))
