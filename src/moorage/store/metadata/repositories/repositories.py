"""Statements about repositories."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, exists, func, insert, select, update

from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import Query, rows
from moorage.store.metadata.tables import epoch, manifests, repositories, repository_tags


class RepositoryRow(NamedTuple):
    """A repository, live or in the trash."""

    id: int
    account: AccountId
    region: Region
    name: RepositoryName
    created_at: float
    mutability: str
    exclusion_filters: str
    """A JSON array of wildcard texts."""
    scan_on_push: bool
    """0 or 1 on SQLite."""
    encryption_type: str
    kms_key: str | None
    policy_hash: str | None


class MutabilityRow(NamedTuple):
    """What a push needs to know of a repository. The columns are those of `RepositoryRow`."""

    id: int
    mutability: str
    exclusion_filters: str


class StateRow(NamedTuple):
    """What a decision needs to know of a repository: one row for each resource tag, and at least one."""

    epoch: int
    id: int | None
    """None: there is no such repository."""
    policy_hash: str | None
    key: str | None
    """None: the repository has no resource tags."""
    value: str | None


class _IdRow(NamedTuple):
    id: int


_COLUMNS = tuple(repositories.c[name] for name in RepositoryRow._fields)
_LIVE = repositories.c.deleted_at.is_(None)
_BY_NAME = select(*_COLUMNS).where(
    repositories.c.account == bindparam("account"),
    repositories.c.region == bindparam("region"),
    repositories.c.name == bindparam("name"),
    _LIVE,
)
_FIND = Query(_BY_NAME, RepositoryRow)
_ID = Query(_BY_NAME.with_only_columns(repositories.c.id), _IdRow)
_MUTABILITY = Query(
    _BY_NAME.with_only_columns(repositories.c.id, repositories.c.mutability, repositories.c.exclusion_filters),
    MutabilityRow,
)
_NAMED = Query(
    select(*_COLUMNS)
    .where(
        repositories.c.account == bindparam("account"),
        repositories.c.region == bindparam("region"),
        repositories.c.name.in_(bindparam("names", expanding=True)),
        _LIVE,
    )
    .order_by(repositories.c.id),
    RepositoryRow,
)
_STATE = Query(
    select(
        epoch.c.value.label("epoch"),
        repositories.c.id,
        repositories.c.policy_hash,
        repository_tags.c.key,
        repository_tags.c.value,
    )
    .select_from(epoch)
    .outerjoin(
        repositories,
        (repositories.c.account == bindparam("account"))
        & (repositories.c.region == bindparam("region"))
        & (repositories.c.name == bindparam("name"))
        & _LIVE,
    )
    .outerjoin(repository_tags, repository_tags.c.repository_id == repositories.c.id)
    .where(epoch.c.id == 1),
    StateRow,
)


def find(conn: Connection, ref: RepositoryRef) -> RepositoryRow | None:
    """Return the live repository of that name, or None."""
    return _FIND.first(conn, ref._asdict())


def id_of(conn: Connection, ref: RepositoryRef) -> int | None:
    """Return the id of the live repository of that name, or None."""
    row = _ID.first(conn, ref._asdict())
    return None if row is None else row.id


def mutability(conn: Connection, ref: RepositoryRef) -> MutabilityRow | None:
    """Return what a push needs to know of the live repository of that name, or None."""
    return _MUTABILITY.first(conn, ref._asdict())


def state(conn: Connection, ref: RepositoryRef) -> Sequence[StateRow]:
    """Return what a decision needs to know of the live repository of that name, with the authorization epoch."""
    return _STATE.all(conn, ref._asdict())


def named(conn: Connection, account: AccountId, region: Region, names: Sequence[str]) -> Sequence[RepositoryRow]:
    """Return the live repositories of these names, in order of creation."""
    return _NAMED.all(conn, {"account": account, "region": region, "names": list(names)})


def page(conn: Connection, account: AccountId, region: Region, after: int, limit: int) -> Sequence[RepositoryRow]:
    """Return the next live repositories after the id `after`, in order of creation."""
    here = (*of_registry(account, region), repositories.c.id > after, _LIVE)
    return rows(conn, select(*_COLUMNS).where(*here).order_by(repositories.c.id).limit(limit), RepositoryRow)


def names(conn: Connection, account: AccountId, region: Region, after: str | int, limit: int) -> list[str]:
    """Return the next names in ASCII order, after a name or after the name of the repository with an id."""
    name = bytewise(conn, repositories.c.name)
    start: ColumnElement[str] | str
    if isinstance(after, int):
        of_id = select(repositories.c.name).where(*of_registry(account, region), repositories.c.id == after)
        start = of_id.scalar_subquery()
    else:
        start = after
    query = (
        select(repositories.c.name)
        .where(*of_registry(account, region), name > start, _LIVE)
        .order_by(name)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())


def newest_id(conn: Connection, ref: RepositoryRef) -> int | None:
    """Return the id of the newest repository of that name, live or in the trash."""
    query = select(func.max(repositories.c.id)).where(
        *of_registry(ref.account, ref.region), repositories.c.name == ref.name
    )
    found: int | None = conn.execute(query).scalar_one()
    return found


def reaches(conn: Connection, account: AccountId, region: Region, count: int) -> bool:
    """Return whether the registry has `count` live repositories or more."""
    newest = conn.execute(select(func.max(repositories.c.id))).scalar_one() or 0
    if newest < count:  # ids are consecutive, so the whole deployment has fewer repositories
        return False
    return conn.execute(select(func.count()).where(*of_registry(account, region), _LIVE)).scalar_one() >= count


def add(
    conn: Connection,
    ref: RepositoryRef,
    *,
    created_at: float,
    created_by: str,
    mutability: str,
    exclusion_filters: str,
    scan_on_push: bool,
    encryption_type: str,
    kms_key: str | None,
) -> int:
    """Insert a repository and return its id. The values are those of `RepositoryRow`."""
    statement = insert(repositories).values(
        account=ref.account,
        region=ref.region,
        name=ref.name,
        created_at=created_at,
        created_by=created_by,
        mutability=mutability,
        exclusion_filters=exclusion_filters,
        scan_on_push=scan_on_push,
        encryption_type=encryption_type,
        kms_key=kms_key,
    )
    return int(conn.execute(statement.returning(repositories.c.id)).scalar_one())


def set_mutability(conn: Connection, repository_id: int, mutability: str, exclusion_filters: str) -> None:
    """Set the tag mutability of a repository, and the filters that except tags from it."""
    change = update(repositories).where(repositories.c.id == repository_id)
    conn.execute(change.values(mutability=mutability, exclusion_filters=exclusion_filters))


def set_scan_on_push(conn: Connection, repository_id: int, scan_on_push: bool) -> None:
    """Set whether a repository scans images when they are pushed."""
    conn.execute(update(repositories).where(repositories.c.id == repository_id).values(scan_on_push=scan_on_push))


def has_images(conn: Connection, repository_id: int) -> bool:
    """Return whether the repository has an image that is not in the trash."""
    found = select(exists().where(manifests.c.repository_id == repository_id, manifests.c.deleted_at.is_(None)))
    return bool(conn.execute(found).scalar_one())


def regions(conn: Connection, account: AccountId) -> list[str]:
    """Return the regions in which the account has live repositories, sorted."""
    statement = select(repositories.c.region).where(repositories.c.account == account, _LIVE)
    return sorted(conn.execute(statement.distinct()).scalars())


def of_registry(account: AccountId, region: Region) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that select the repositories of a registry."""
    return repositories.c.account == account, repositories.c.region == region
