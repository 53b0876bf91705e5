"""Statements about image tags and their history."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from moorage.names import Digest
from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import manifests, tag_history, tags


class TagRow(NamedTuple):
    """The image that a tag points at."""

    manifest_id: int
    digest: Digest


class _CountRow(NamedTuple):
    number: int


_FIND = Query(
    select(tags.c.manifest_id, manifests.c.digest)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name == bindparam("name")),
    TagRow,
)
_MOVE = Change(
    update(tags)
    .where(tags.c.repository_id == bindparam("repository"), tags.c.name == bindparam("tag"))
    .values(manifest_id=bindparam("manifest_id"), updated_at=bindparam("updated_at"))
)
_ADD = Change(insert(tags).values({column.key: bindparam(column.key) for column in tags.c}))
_ADD_REVISION = Change(
    insert(tag_history).values({column.key: bindparam(column.key) for column in tag_history.c if column.key != "id"})
)
_COUNT = Query(select(func.count().label("number")).where(tags.c.manifest_id == bindparam("manifest_id")), _CountRow)


def find(conn: Connection, repository_id: int, name: str) -> TagRow | None:
    """Return the image that the tag points at, or None."""
    return _FIND.first(conn, {"repository_id": repository_id, "name": name})


def point(conn: Connection, repository_id: int, name: str, manifest_id: int, digest: str, at: float, by: str) -> None:
    """Point the tag at this manifest, and add that to its history."""
    pointed = {"manifest_id": manifest_id, "updated_at": at}
    if not _MOVE.run(conn, {"repository": repository_id, "tag": name, **pointed}):
        _ADD.run(conn, {"repository_id": repository_id, "name": name, **pointed})
    _add_revision(conn, repository_id, name, digest, at, by)


def remove(conn: Connection, repository_id: int, name: str, at: float, by: str) -> None:
    """Delete the tag, and add that to its history."""
    conn.execute(delete(tags).where(tags.c.repository_id == repository_id, tags.c.name == name))
    _add_revision(conn, repository_id, name, None, at, by)


def remove_all(
    conn: Connection, repository_id: int, manifest_id: int, names: Sequence[str], at: float, by: str
) -> None:
    """Delete the tags `names`, which are all the tags of the manifest, and add that to their history."""
    if names:
        conn.execute(delete(tags).where(tags.c.manifest_id == manifest_id))
        row = {"repository_id": repository_id, "digest": None, "at": at, "by": by}
        _ADD_REVISION.run_each(conn, [{**row, "name": name} for name in names])


def _add_revision(conn: Connection, repository_id: int, name: str, digest: str | None, at: float, by: str) -> None:
    _ADD_REVISION.run(conn, {"repository_id": repository_id, "name": name, "digest": digest, "at": at, "by": by})


def of_manifests(conn: Connection, manifest_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the tags of each of these manifests, sorted. Manifests without tags are left out."""
    statement = select(tags.c.manifest_id, tags.c.name).where(tags.c.manifest_id.in_(manifest_ids))
    found: dict[int, list[str]] = {}
    for row in conn.execute(statement):
        found.setdefault(row.manifest_id, []).append(row.name)
    return {manifest_id: sorted(names) for manifest_id, names in found.items()}


def of_manifests_at_most(
    conn: Connection, manifest_ids: Sequence[int], limit: int
) -> tuple[dict[int, list[str]], set[int]]:
    """Return the tags of these manifests, sorted, and the ids of the manifests whose tags are all included.

    At most `limit` + 1 tags are read. If the manifests have more than `limit` tags together, those with the highest ids
    are left out.
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
    """Return how many tags the manifest has."""
    row = _COUNT.first(conn, {"manifest_id": manifest_id})
    return 0 if row is None else row.number


def names(conn: Connection, repository_id: int, after: str, limit: int) -> list[str]:
    """Return the next tags after `after`, in ASCII order."""
    name = bytewise(conn, tags.c.name)
    statement = select(tags.c.name).where(tags.c.repository_id == repository_id, name > after).order_by(name)
    return list(conn.execute(statement.limit(limit)).scalars())
