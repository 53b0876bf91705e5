"""Statements about image tags as they stand, and their history."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, collate, delete, func, insert, select, update

from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import manifests, tag_history, tags

_FIND = Query(
    select(tags.c.manifest_id, manifests.c.digest)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name == bindparam("name"))
)
_MOVE = Change(
    update(tags)
    .where(tags.c.repository_id == bindparam("repository"), tags.c.name == bindparam("tag"))
    .values(manifest_id=bindparam("manifest_id"), updated_at=bindparam("updated_at"))
)
_ADD = Change(insert(tags).values({column.key: bindparam(column.key) for column in tags.c}))
_REMEMBER = Change(
    insert(tag_history).values({column.key: bindparam(column.key) for column in tag_history.c if column.key != "id"})
)
_COUNT = Query(select(func.count().label("count")).where(tags.c.manifest_id == bindparam("manifest_id")))


def find(conn: Connection, repository_id: int, name: str) -> Any | None:
    """What the tag stands for (manifest_id, digest), or None."""
    return _FIND.first(conn, {"repository_id": repository_id, "name": name})


def point(conn: Connection, repository_id: int, name: str, manifest_id: int, digest: str, at: float, by: str) -> None:
    """The tag stands for this manifest from now on; its history says so."""
    pointed = {"manifest_id": manifest_id, "updated_at": at}
    if not _MOVE.run(conn, {"repository": repository_id, "tag": name, **pointed}):
        _ADD.run(conn, {"repository_id": repository_id, "name": name, **pointed})
    _remember(conn, repository_id, name, digest, at, by)


def remove(conn: Connection, repository_id: int, name: str, at: float, by: str) -> None:
    """The tag is gone; its history says so."""
    conn.execute(delete(tags).where(tags.c.repository_id == repository_id, tags.c.name == name))
    _remember(conn, repository_id, name, None, at, by)


def remove_all(
    conn: Connection, repository_id: int, manifest_id: int, names: Sequence[str], at: float, by: str
) -> None:
    """Remove the tags `names`, which are all that the manifest has; their history says so."""
    if names:
        conn.execute(delete(tags).where(tags.c.manifest_id == manifest_id))
        row = {"repository_id": repository_id, "digest": None, "at": at, "by": by}
        _REMEMBER.run_each(conn, [{**row, "name": name} for name in names])


def _remember(conn: Connection, repository_id: int, name: str, digest: str | None, at: float, by: str) -> None:
    _REMEMBER.run(conn, {"repository_id": repository_id, "name": name, "digest": digest, "at": at, "by": by})


def of_manifests(conn: Connection, manifest_ids: Sequence[int]) -> dict[int, list[str]]:
    """The tags of each of these manifests, sorted."""
    statement = select(tags.c.manifest_id, tags.c.name).where(tags.c.manifest_id.in_(manifest_ids))
    found: dict[int, list[str]] = {}
    for row in conn.execute(statement):
        found.setdefault(row.manifest_id, []).append(row.name)
    return {manifest_id: sorted(names) for manifest_id, names in found.items()}


def of_manifests_at_most(
    conn: Connection, manifest_ids: Sequence[int], limit: int
) -> tuple[dict[int, list[str]], set[int]]:
    """The tags of these manifests, sorted, and which of the manifests they are complete of.

    Reads at most `limit` + 1 tags. Manifests that come later in the order of their ids are left out if all of them have
    more than `limit`.
    """
    if not manifest_ids:
        return {}, set()
    statement = select(tags.c.manifest_id, tags.c.name).where(tags.c.manifest_id.in_(manifest_ids))
    rows = conn.execute(statement.order_by(tags.c.manifest_id).limit(limit + 1)).all()
    whole = set(manifest_ids)
    if len(rows) > limit:
        whole = {each for each in manifest_ids if each < rows[-1].manifest_id}
    found: dict[int, list[str]] = {}
    for row in rows:
        if row.manifest_id in whole:
            found.setdefault(row.manifest_id, []).append(row.name)
    return {manifest_id: sorted(names) for manifest_id, names in found.items()}, whole


def count(conn: Connection, manifest_id: int) -> int:
    row = _COUNT.first(conn, {"manifest_id": manifest_id})
    return 0 if row is None else int(row.count)


def names(conn: Connection, repository_id: int, after: str, limit: int) -> list[str]:
    """The next tags after `after` in ASCII order."""
    name: ColumnElement[str] = tags.c.name
    if conn.dialect.name == "postgresql":
        name = collate(tags.c.name, "C")  # SQLite compares bytes anyway
    statement = select(tags.c.name).where(tags.c.repository_id == repository_id, name > after).order_by(name)
    return list(conn.execute(statement.limit(limit)).scalars())
