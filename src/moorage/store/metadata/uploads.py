"""Statements about uploads: bytes on their way to become a layer."""

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.statement import Change, Query
from moorage.store.metadata.tables import repositories, upload_contents, uploads

_BEGIN = Change(
    insert(uploads).values(
        id=bindparam("id"),
        repository_id=bindparam("repository_id"),
        started_at=bindparam("at"),
        updated_at=bindparam("at"),
        started_by=bindparam("by"),
        size=0,
        parts=0,
        small_parts=0,
        last_part_small=False,
    )
)
_FIND = Query(
    select(
        uploads.c.id,
        uploads.c.repository_id,
        uploads.c.size,
        uploads.c.parts,
        uploads.c.small_parts,
        uploads.c.last_part_small,
        upload_contents.c.content,
    )
    .join(repositories, repositories.c.id == uploads.c.repository_id)
    .outerjoin(upload_contents, upload_contents.c.upload_id == uploads.c.id)
    .where(
        uploads.c.id == bindparam("id"),
        repositories.c.account == bindparam("account"),
        repositories.c.region == bindparam("region"),
        repositories.c.name == bindparam("name"),
        repositories.c.deleted_at.is_(None),
    )
)
_GROW = Change(
    update(uploads)
    .where(uploads.c.id == bindparam("upload_id"), uploads.c.size == bindparam("was"))
    .values(
        size=bindparam("size"),
        updated_at=bindparam("updated_at"),
        parts=bindparam("parts"),
        small_parts=bindparam("small_parts"),
        last_part_small=bindparam("last_part_small"),
    )
)
_ADD_CONTENT = Change(insert(upload_contents).values(upload_id=bindparam("upload_id"), content=bindparam("content")))
_SET_CONTENT = Change(
    update(upload_contents).where(upload_contents.c.upload_id == bindparam("of")).values(content=bindparam("content"))
)
_DROP_CONTENT = Change(delete(upload_contents).where(upload_contents.c.upload_id == bindparam("of")))
_END = Change(delete(uploads).where(uploads.c.id == bindparam("id")))


def begin(conn: Connection, upload_id: str, repository_id: int, at: float, by: str) -> None:
    _BEGIN.run(conn, {"id": upload_id, "repository_id": repository_id, "at": at, "by": by})


def find(conn: Connection, ref: RepositoryRef, upload_id: str) -> Any | None:
    """The upload, or None when this repository has none of that id.

    `id`, `repository_id`, `size`, `parts`, `small_parts` (the last one does not count), `last_part_small`, and its
    `content`, which is None when the bytes are in the blob store or there are none.
    """
    return _FIND.first(conn, {"id": upload_id, **ref._asdict()})


def grow(conn: Connection, found: Any, size: int, at: float, *, small: bool, content: bytes | None) -> bool:
    """The upload that was `found` grew to `size` bytes; False (and no change) when it has changed since.

    `small`: what came is a part too small to stand before another. `content`: all its bytes; None when they are in
    the blob store from now on.
    """
    changed = _GROW.run(
        conn,
        {
            "upload_id": found.id,
            "was": found.size,
            "size": size,
            "updated_at": at,
            "parts": found.parts + 1,
            "small_parts": found.small_parts + int(found.last_part_small),
            "last_part_small": small,
        },
    )
    if not changed:
        return False
    if content is None:
        if found.content is not None:
            _DROP_CONTENT.run(conn, {"of": found.id})
    elif found.content is None:
        _ADD_CONTENT.run(conn, {"upload_id": found.id, "content": content})
    else:
        _SET_CONTENT.run(conn, {"of": found.id, "content": content})
    return True


def end(conn: Connection, upload_id: str) -> bool:
    """Forget the upload and its content; whether there was one."""
    return bool(_END.run(conn, {"id": upload_id}))


def rested(conn: Connection, before: float, limit: int) -> list[str]:
    """Ids of uploads that nothing has been added to since `before`."""
    statement = select(uploads.c.id).where(uploads.c.updated_at < before).order_by(uploads.c.updated_at).limit(limit)
    return list(conn.execute(statement).scalars())


def end_rested(conn: Connection, upload_id: str, before: float) -> bool:
    """`end`, if nothing has been added to it since `before`."""
    statement = delete(uploads).where(uploads.c.id == upload_id, uploads.c.updated_at < before)
    return bool(conn.execute(statement).rowcount)


def known(conn: Connection, names: list[str]) -> set[str]:
    """Those of `names` that are uploads."""
    return set(conn.execute(select(uploads.c.id).where(uploads.c.id.in_(names))).scalars())
