"""Statements about repositories and their resource tags."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.layers import uploads
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.tables import epoch, manifests, repositories, repository_tags

_ALIVE = repositories.c.deleted_at.is_(None)
_BY_NAME = select(repositories).where(
    repositories.c.account == bindparam("account"),
    repositories.c.region == bindparam("region"),
    repositories.c.name == bindparam("name"),
    _ALIVE,
)
_NAMED = (
    select(repositories)
    .where(
        repositories.c.account == bindparam("account"),
        repositories.c.region == bindparam("region"),
        repositories.c.name.in_(bindparam("names", expanding=True)),
        _ALIVE,
    )
    .order_by(repositories.c.id)
)
_FIND = Query(_BY_NAME)
_ID = Query(_BY_NAME.with_only_columns(repositories.c.id))
_RULES = Query(
    _BY_NAME.with_only_columns(repositories.c.id, repositories.c.mutability, repositories.c.exclusion_filters)
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
        & _ALIVE,
    )
    .outerjoin(repository_tags, repository_tags.c.repository_id == repositories.c.id)
    .where(epoch.c.id == 1)
)


def find(conn: Connection, ref: RepositoryRef) -> Any | None:
    """The repository's row, or None when there is none alive."""
    return _FIND.first(conn, ref._asdict())


def id_of(conn: Connection, ref: RepositoryRef) -> int | None:
    """The id of the repository, or None when there is none alive."""
    row = _ID.first(conn, ref._asdict())
    return None if row is None else row.id


def rules(conn: Connection, ref: RepositoryRef) -> Any | None:
    """What a push has to know (id, mutability, exclusion_filters), or None when there is none alive."""
    return _RULES.first(conn, ref._asdict())


def state(conn: Connection, ref: RepositoryRef) -> Sequence[Any]:
    """Rows (epoch, id, policy_hash, tag key, tag value): one a tag, at least one; id is None without a repository."""
    return _STATE.all(conn, ref._asdict())


def named(conn: Connection, account: str, region: str, names: Sequence[str]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The living repositories of these names, in order of creation."""
    return conn.execute(_NAMED, {"account": account, "region": region, "names": list(names)}).all()


def page(conn: Connection, account: str, region: str, after: int, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """The next living repositories after the one of id `after`, in order of creation."""
    return conn.execute(
        select(repositories)
        .where(
            repositories.c.account == account,
            repositories.c.region == region,
            repositories.c.id > after,
            _ALIVE,
        )
        .order_by(repositories.c.id)
        .limit(limit)
    ).all()


def names(conn: Connection, account: str, region: str, after: str | int, limit: int) -> list[str]:
    """The next names after `after`, in ASCII order: after a name, or after that of the repository with an id."""
    name = repositories.c.name.collate("C") if conn.dialect.name == "postgresql" else repositories.c.name
    here = (repositories.c.account == account, repositories.c.region == region)
    start: Any = after
    if isinstance(after, int):
        start = select(repositories.c.name).where(*here, repositories.c.id == after).scalar_subquery()
    query = select(repositories.c.name).where(*here, name > start, _ALIVE).order_by(name).limit(limit)
    return list(conn.execute(query).scalars())


def newest_id(conn: Connection, ref: RepositoryRef) -> int | None:
    """The id of the newest repository of that name, alive or deleted."""
    query = select(func.max(repositories.c.id)).where(
        repositories.c.account == ref.account, repositories.c.region == ref.region, repositories.c.name == ref.name
    )
    found: int | None = conn.execute(query).scalar_one()
    return found


def reaches(conn: Connection, account: str, region: str, count: int) -> bool:
    """Whether the registry has `count` living repositories or more."""
    newest = conn.execute(select(func.max(repositories.c.id))).scalar_one() or 0
    if newest < count:  # ids are given out one after the other, so there are no more repositories than that anywhere
        return False
    here = (repositories.c.account == account, repositories.c.region == region, _ALIVE)
    return conn.execute(select(func.count()).where(*here)).scalar_one() >= count


def add(conn: Connection, **values: Any) -> int:
    """Insert a repository; its id."""
    return int(conn.execute(insert(repositories).values(**values).returning(repositories.c.id)).scalar_one())


def change(conn: Connection, repository_id: int, **values: Any) -> None:
    """Set columns of a repository."""
    conn.execute(update(repositories).where(repositories.c.id == repository_id).values(**values))


def has_images(conn: Connection, repository_id: int) -> bool:
    """Does it hold an image that is not in the trash?"""
    found = select(exists().where(manifests.c.repository_id == repository_id, manifests.c.deleted_at.is_(None)))
    return bool(conn.execute(found).scalar_one())


def tags(conn: Connection, repository_id: int) -> dict[str, str]:
    """Its resource tags."""
    statement = select(repository_tags.c.key, repository_tags.c.value).where(
        repository_tags.c.repository_id == repository_id
    )
    return {row.key: row.value for row in conn.execute(statement.order_by(repository_tags.c.key))}


def set_tags(conn: Connection, repository_id: int, values: Mapping[str, str]) -> None:
    """Put these resource tags, over those of the same keys."""
    remove_tags(conn, repository_id, list(values))
    if values:
        rows = [{"repository_id": repository_id, "key": key, "value": value} for key, value in values.items()]
        conn.execute(insert(repository_tags), rows)


def remove_tags(conn: Connection, repository_id: int, keys: Sequence[str]) -> None:
    """Remove the resource tags of these keys."""
    conn.execute(
        delete(repository_tags).where(repository_tags.c.repository_id == repository_id, repository_tags.c.key.in_(keys))
    )


def latest_in_trash(conn: Connection, ref: RepositoryRef) -> Row[*tuple[Any, ...]] | None:
    """The repository of that name that was deleted last, or None."""
    return conn.execute(
        select(repositories)
        .where(
            repositories.c.account == ref.account,
            repositories.c.region == ref.region,
            repositories.c.name == ref.name,
            repositories.c.deleted_at.is_not(None),
        )
        .order_by(repositories.c.deleted_at.desc(), repositories.c.id.desc())
        .limit(1)
    ).one_or_none()


def in_trash(conn: Connection, repository_id: int) -> Row[*tuple[Any, ...]] | None:
    """The deleted repository with that id, or None."""
    here = (repositories.c.id == repository_id, repositories.c.deleted_at.is_not(None))
    return conn.execute(select(repositories).where(*here)).one_or_none()


def destroy(conn: Connection, repository_id: int) -> list[str]:
    """Delete the repository with everything it holds; the ids of its uploads, whose bytes the blob store may have."""
    statement = select(repositories.c.account).where(repositories.c.id == repository_id)
    account = conn.execute(statement).scalar_one_or_none()
    if account is None:
        return []
    ended = uploads.end_all(conn, repository_id, account)
    usage.forget(conn, usage.uploads_of_repository(repository_id))
    conn.execute(delete(repositories).where(repositories.c.id == repository_id))
    return ended


def regions(conn: Connection, account: str) -> list[str]:
    """The regions in which the account has living repositories."""
    here = (repositories.c.account == account, repositories.c.deleted_at.is_(None))
    return sorted(conn.execute(select(repositories.c.region).where(*here).distinct()).scalars())
