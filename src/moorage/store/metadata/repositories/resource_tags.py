"""Statements about the resource tags of many repositories at once."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.tables import repositories, repository_tags

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
    .order_by(_SOME.c.name)
)


def page(conn: Connection, account: str, region: str, after: str, limit: int) -> Sequence[Any]:
    """Return rows (name, key, value) of the next `limit` living repositories after the name `after`.

    They come in the order of the names as the database compares them, which is that of an index; ASCII's would have to
    be sorted on PostgreSQL. A repository has one row for each of its tags, and one without key and value when it has
    none.
    """
    return _PAGE.all(conn, {"of_account": account, "of_region": region, "after": after, "most": limit})
