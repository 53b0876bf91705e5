"""Statements about uploads: bytes on their way to become a layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.tables import finished_uploads, repositories, upload_contents, uploads

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
        uploads.c.reserved,
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
_RESERVE = Change(
    update(uploads)
    .where(uploads.c.id == bindparam("of"))
    .values(reserved=uploads.c.reserved + bindparam("more"), updated_at=bindparam("at"))
)
_RENEW = Change(update(uploads).where(uploads.c.id == bindparam("of")).values(updated_at=bindparam("at")))
_FAIL = Query(
    update(uploads)
    .where(uploads.c.id == bindparam("of"))
    .values(failures=uploads.c.failures + 1)
    .returning(uploads.c.failures)
)
_FINISH = Change(
    insert(finished_uploads).values(
        account=bindparam("account"), repository_id=bindparam("repository_id"), reserved=bindparam("reserved")
    )
)
_END = Query(
    delete(uploads).where(uploads.c.id == bindparam("of")).returning(uploads.c.repository_id, uploads.c.reserved)
)
_FORGET_FINISHED = Query(
    delete(finished_uploads)
    .where(finished_uploads.c.repository_id == bindparam("of"))
    .returning(finished_uploads.c.reserved)
)
_ACCOUNT = Query(select(repositories.c.account).where(repositories.c.id == bindparam("repository_id")))


class Room(NamedTuple):
    """Quotas of open uploads."""

    in_repository: int
    in_account: int


def begin(conn: Connection, upload_id: str, repository_id: int, account: str, room: Room, at: float, by: str) -> bool:
    """Add an empty upload; False when a quota is used up, and then the transaction must not be committed."""
    finished = _FORGET_FINISHED.all(conn, {"of": repository_id})
    more = 1 - len(finished)  # mostly none: an upload takes the place of the last one that was finished
    usage.give_back(conn, usage.upload_bytes_of_account(account), sum(row.reserved for row in finished))
    if not usage.take(conn, usage.uploads_of_repository(repository_id), more, room.in_repository):
        return False
    if not usage.take(conn, usage.uploads_of_account(account), more, room.in_account):
        count_out(conn, account)
        if not usage.take(conn, usage.uploads_of_account(account), more, room.in_account):
            return False
    _BEGIN.run(conn, {"id": upload_id, "repository_id": repository_id, "at": at, "by": by})
    return True


def find(conn: Connection, ref: RepositoryRef, upload_id: str) -> Any | None:
    """The upload, or None when this repository has none of that id.

    `id`, `repository_id`, `size`, `parts`, `small_parts` (the last one does not count), `last_part_small`, `reserved`,
    and its `content`, which is None when the bytes are in the blob store or there are none.
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


def reserve(conn: Connection, upload_id: str, account: str, more: int, most: int, at: float) -> bool:
    """Let the upload take `more` bytes of the blob store.

    False, and nothing is reserved, when the uploads of the account would have more than `most`. LookupError when the
    upload is gone.
    """
    scope = usage.upload_bytes_of_account(account)
    if not usage.take(conn, scope, more, most):
        count_out(conn, account)
        if not usage.take(conn, scope, more, most):
            return False
    if not _RESERVE.run(conn, {"of": upload_id, "more": more, "at": at}):
        raise LookupError(upload_id)
    return True


def renew(conn: Connection, upload_id: str, at: float) -> bool:
    """Count the upload as used at `at`; False when it is gone."""
    return bool(_RENEW.run(conn, {"of": upload_id, "at": at}))


def fail(conn: Connection, upload_id: str) -> int:
    """Count a failed finish; how many there were. 0 when the upload is gone."""
    row = _FAIL.first(conn, {"of": upload_id})
    return 0 if row is None else int(row.failures)


def finish(conn: Connection, upload_id: str, account: str) -> bool:
    """Delete the upload with its content; whether there was one.

    It counts until the next one in the repository begins, or `count_out`.
    """
    row = _END.first(conn, {"of": upload_id})
    if row is None:
        return False
    _FINISH.run(conn, {"account": account, "repository_id": row.repository_id, "reserved": row.reserved})
    return True


def end(conn: Connection, upload_id: str) -> bool:
    """Delete the upload with its content, and count it no longer; whether there was one."""
    row = _END.first(conn, {"of": upload_id})
    if row is None:
        return False
    repository = _ACCOUNT.first(conn, {"repository_id": row.repository_id})
    assert repository is not None  # noqa: S101 - an upload goes with its repository
    _give_back(conn, row.repository_id, repository.account, [row.reserved])
    return True


def end_all(conn: Connection, repository_id: int, account: str) -> list[str]:
    """Delete every upload of the repository, and count them no longer; their ids."""
    here = uploads.c.repository_id == repository_id
    ended = conn.execute(delete(uploads).where(here).returning(uploads.c.id, uploads.c.reserved)).all()
    finished = _FORGET_FINISHED.all(conn, {"of": repository_id})
    _give_back(conn, repository_id, account, [row.reserved for row in (*ended, *finished)])
    return [row.id for row in ended]


def count_out(conn: Connection, account: str) -> None:
    """Count the finished uploads of the account no longer."""
    of = finished_uploads.c
    statement = delete(finished_uploads).where(of.account == account).returning(of.repository_id, of.reserved)
    reserved: dict[int, list[int]] = {}
    for row in conn.execute(statement).all():
        reserved.setdefault(row.repository_id, []).append(row.reserved)
    for repository_id in sorted(reserved):
        _give_back(conn, repository_id, account, reserved[repository_id])


def accounts_with_finished(conn: Connection, limit: int) -> list[str]:
    """Accounts of which finished uploads are still counted."""
    return list(conn.execute(select(finished_uploads.c.account).distinct().limit(limit)).scalars())


def _give_back(conn: Connection, repository_id: int, account: str, reserved: Sequence[int]) -> None:
    """Count uploads of these sizes no longer."""
    usage.give_back(conn, usage.upload_bytes_of_account(account), sum(reserved))
    usage.give_back(conn, usage.uploads_of_repository(repository_id), len(reserved))
    usage.give_back(conn, usage.uploads_of_account(account), len(reserved))


def rested(conn: Connection, before: float, limit: int) -> list[str]:
    """Ids of uploads that nothing has been added to since `before`."""
    statement = select(uploads.c.id).where(uploads.c.updated_at < before).order_by(uploads.c.updated_at).limit(limit)
    return list(conn.execute(statement).scalars())


def of_deleted_repositories(conn: Connection, since: float, limit: int) -> list[str]:
    """Ids of uploads of repositories that were deleted after `since`."""
    statement = select(uploads.c.id).join(repositories, repositories.c.id == uploads.c.repository_id)
    return list(conn.execute(statement.where(repositories.c.deleted_at > since).limit(limit)).scalars())


def end_rested(conn: Connection, upload_id: str, before: float) -> bool:
    """`end`, if nothing has been added to it since `before`."""
    resting = select(uploads.c.id).where(uploads.c.id == upload_id, uploads.c.updated_at < before)
    return conn.execute(resting).first() is not None and end(conn, upload_id)


def known(conn: Connection, names: list[str]) -> set[str]:
    """Those of `names` that are uploads."""
    return set(conn.execute(select(uploads.c.id).where(uploads.c.id.in_(names))).scalars())
