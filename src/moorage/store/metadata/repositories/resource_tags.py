"""Statements about the resource tags of repositories."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from moorage.names import AccountId, Region, RepositoryName
from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.tables import repositories, repository_tags


class TagRow(NamedTuple):
    """A repository and one of its tags; `key` and `value` are None if it has none."""

    name: RepositoryName
    key: str | None
    value: str | None


_SOME: Final = (
    select(repositories.c.id, repositories.c.name)
    .where(
        repositories.c.account == bindparam("of_account"),
        repositories.c.region == bindparam("of_region"),
        repositories.c.deleted_at.is_(None),
        repositories.c.name > bindparam("after"),
    )
    .order_by(repositories.c.name)
    .limit(bindparam("most"))
    .subquery()
)
_PAGE: Final = Query(
    select(_SOME.c.name, repository_tags.c.key, repository_tags.c.value)
    .select_from(_SOME.outerjoin(repository_tags, repository_tags.c.repository_id == _SOME.c.id))
    .order_by(_SOME.c.name),
    TagRow,
)


def of_repository(conn: Connection, repository_id: int) -> dict[str, str]:
    """Return the tags of a repository, sorted by key."""
    statement = select(repository_tags.c.key, repository_tags.c.value).where(
        repository_tags.c.repository_id == repository_id
    )
    return {row.key: row.value for row in conn.execute(statement.order_by(repository_tags.c.key))}


def put(conn: Connection, repository_id: int, values: Mapping[str, str]) -> None:
    """Set these tags of a repository; its other tags stay."""
    remove(conn, repository_id, list(values))
    if values:
        rows = [{"repository_id": repository_id, "key": key, "value": value} for key, value in values.items()]
        conn.execute(insert(repository_tags), rows)


def remove(conn: Connection, repository_id: int, keys: Sequence[str]) -> None:
    """Remove the tags of these keys from a repository."""
    conn.execute(
        delete(repository_tags).where(repository_tags.c.repository_id == repository_id, repository_tags.c.key.in_(keys))
    )


def page(conn: Connection, account: AccountId, region: Region, after: str, limit: int) -> Sequence[TagRow]:
    """Return the tags of the next `limit` live repositories after the name `after`, one row for each tag.

    The order of the names is the database's own, which has an index; on PostgreSQL, ASCII order would need a sort. A
    repository without tags has one row.
    """
    return _PAGE.all(conn, {"of_account": account, "of_region": region, "after": after, "most": limit})
