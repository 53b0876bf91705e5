"""Statements about repositories in the trash."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.store.metadata.database.statement import first_row, rows
from moorage.store.metadata.layers import uploads
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.repositories.repositories import RepositoryRow, of_registry
from moorage.store.metadata.tables import repositories


class TrashRow(NamedTuple):
    """A repository in the trash."""

    name: RepositoryName
    deleted_at: float
    deleted_by: str


class _IdRow(NamedTuple):
    id: int
    account: AccountId
    region: Region
    name: RepositoryName


_IN_TRASH = repositories.c.deleted_at.is_not(None)
_ROW = select(*(repositories.c[name] for name in RepositoryRow._fields))


def add(conn: Connection, repository_id: int, at: float, by: str) -> None:
    """Mark a repository as deleted."""
    change = update(repositories).where(repositories.c.id == repository_id)
    conn.execute(change.values(deleted_at=at, deleted_by=by))


def restore(conn: Connection, repository_id: int, name: RepositoryName) -> None:
    """Make a repository live again under this name."""
    change = update(repositories).where(repositories.c.id == repository_id)
    conn.execute(change.values(name=name, deleted_at=None, deleted_by=None))


def all_of(conn: Connection, account: AccountId, region: Region) -> Sequence[TrashRow]:
    """Return the deleted repositories of a registry, the last deleted first."""
    statement = select(repositories.c.name, repositories.c.deleted_at, repositories.c.deleted_by)
    here = statement.where(_IN_TRASH, *of_registry(account, region))
    return rows(conn, here.order_by(repositories.c.deleted_at.desc()), TrashRow)


def latest(conn: Connection, ref: RepositoryRef) -> RepositoryRow | None:
    """Return the repository of that name that was deleted last, or None."""
    here = (_IN_TRASH, *of_registry(ref.account, ref.region), repositories.c.name == ref.name)
    newest_first = _ROW.where(*here).order_by(repositories.c.deleted_at.desc(), repositories.c.id.desc())
    return first_row(conn, newest_first.limit(1), RepositoryRow)


def find(conn: Connection, repository_id: int) -> RepositoryRow | None:
    """Return the deleted repository with that id, or None."""
    return first_row(conn, _ROW.where(repositories.c.id == repository_id, _IN_TRASH), RepositoryRow)


def destroy(conn: Connection, repository_id: int) -> list[str]:
    """Delete the repository with everything in it. Return the ids of its uploads, whose bytes are in the blob store."""
    statement = select(repositories.c.account).where(repositories.c.id == repository_id)
    account = conn.execute(statement).scalar_one_or_none()
    if account is None:
        return []
    ended = uploads.end_all(conn, repository_id, account)
    usage.forget(conn, usage.uploads_of_repository(repository_id))
    conn.execute(delete(repositories).where(repositories.c.id == repository_id))
    return ended


def expired(conn: Connection, before: float, limit: int) -> list[int]:
    """Return the ids of at most `limit` repositories that were deleted before `before`."""
    statement = select(repositories.c.id).where(repositories.c.deleted_at < before).order_by(repositories.c.deleted_at)
    return list(conn.execute(statement.limit(limit)).scalars())


def surplus(conn: Connection, most: int, limit: int) -> list[int]:
    """Return the ids of at most `limit` deleted repositories of some registry beyond the `most` deleted last there."""
    registry = (repositories.c.account, repositories.c.region)
    full = select(*registry).where(_IN_TRASH).group_by(*registry).having(func.count() > most).limit(1)
    found = conn.execute(full).first()
    if found is None:
        return []
    here = select(repositories.c.id).where(_IN_TRASH, *of_registry(found.account, found.region))
    newest_first = here.order_by(repositories.c.deleted_at.desc(), repositories.c.id)
    return list(conn.execute(newest_first.offset(most).limit(limit)).scalars())


def destroy_expired(conn: Connection, ids: Sequence[int], before: float) -> list[RepositoryRef]:
    """Destroy those of the repositories that were deleted before `before`, and return them."""
    statement = select(repositories.c.id, repositories.c.account, repositories.c.region, repositories.c.name)
    found = rows(conn, statement.where(repositories.c.id.in_(ids), repositories.c.deleted_at < before), _IdRow)
    for row in found:
        destroy(conn, row.id)
    return [RepositoryRef(row.account, row.region, row.name) for row in found]
