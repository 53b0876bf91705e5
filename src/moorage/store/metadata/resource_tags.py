"""Statements about the resource tags of many repositories at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from moorage.store.metadata.tables import repositories, repository_tags


def page(conn: Connection, account: str, region: str, after: str, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return rows (name, key, value) of the next `limit` living repositories after the name `after`, in ASCII order.

    A repository has one row for each of its tags, in ASCII order of their keys, and one without key and value when it
    has none.
    """
    named = repositories.c.name.collate("C") if conn.dialect.name == "postgresql" else repositories.c.name
    here = (repositories.c.account == account, repositories.c.region == region, repositories.c.deleted_at.is_(None))
    some = select(repositories.c.id, repositories.c.name).where(*here, named > after).order_by(named).limit(limit)
    these = some.subquery()
    name, key = these.c.name, repository_tags.c.key
    order = (name.collate("C"), key.collate("C")) if conn.dialect.name == "postgresql" else (name, key)
    joined = these.outerjoin(repository_tags, repository_tags.c.repository_id == these.c.id)
    return conn.execute(select(name, key, repository_tags.c.value).select_from(joined).order_by(*order)).all()
