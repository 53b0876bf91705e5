"""Statements about uploads: bytes on their way to become a layer."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.blobs.store import Part, Piece, Staged
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.tables import finished_uploads, repositories, upload_parts, upload_pieces, uploads

MERGED: Final = 16 << 10
"""Bytes up to which a piece is joined with the one before it, so that tiny chunks do not make a row each."""


class UploadQuota(NamedTuple):
    """How many uploads may be open at a time."""

    in_repository: int
    in_account: int


class UploadRow(NamedTuple):
    """An open upload."""

    id: str
    repository_id: int
    size: int
    """Bytes that arrived and are kept."""
    in_parts: int
    """How many of them the blob store holds as parts."""
    session: str | None
    """What the blob store calls the unfinished upload."""
    sha256: str | None
    """Hex digest of all bytes; None when it is not known."""
    parts: int
    """Appends that were recorded."""
    small_parts: int
    """Appends under 5 MiB before the last one."""
    last_part_small: bool
    reserved: int
    """Bytes charged to the account's quota."""


class Growth(NamedTuple):
    """What is recorded with an append."""

    at: float
    small: bool
    """Whether it was too short to be followed by another part, by ECR's rules."""
    sha256: str | None
    """Hex digest of all bytes of the upload; None when it is not known."""


_BEGIN = Change(
    insert(uploads).values(
        id=bindparam("id"),
        repository_id=bindparam("repository_id"),
        started_at=bindparam("at"),
        updated_at=bindparam("at"),
        started_by=bindparam("by"),
        size=0,
        in_parts=0,
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
        uploads.c.in_parts,
        uploads.c.session,
        uploads.c.sha256,
        uploads.c.parts,
        uploads.c.small_parts,
        uploads.c.last_part_small,
        uploads.c.reserved,
    )
    .join(repositories, repositories.c.id == uploads.c.repository_id)
    .where(
        uploads.c.id == bindparam("id"),
        repositories.c.account == bindparam("account"),
        repositories.c.region == bindparam("region"),
        repositories.c.name == bindparam("name"),
        repositories.c.deleted_at.is_(None),
    ),
    UploadRow,
)
_PARTS = Query(
    select(upload_parts.c.size, upload_parts.c.etag)
    .where(upload_parts.c.upload_id == bindparam("of"))
    .order_by(upload_parts.c.number),
    Part,
)
_PIECES = Query(
    select(upload_pieces.c.size, upload_pieces.c.content, upload_pieces.c.name)
    .where(upload_pieces.c.upload_id == bindparam("of"))
    .order_by(upload_pieces.c.start),
    Piece,
)
_LAST_PIECE = Query(
    select(upload_pieces.c.start, upload_pieces.c.size, upload_pieces.c.content)
    .where(upload_pieces.c.upload_id == bindparam("of"))
    .order_by(upload_pieces.c.start.desc())
    .limit(1)
)
_GROW = Change(
    update(uploads)
    .where(uploads.c.id == bindparam("upload_id"), uploads.c.size == bindparam("was"))
    .values(
        size=bindparam("size"),
        in_parts=bindparam("in_parts"),
        session=bindparam("session"),
        sha256=bindparam("sha256"),
        updated_at=bindparam("updated_at"),
        parts=bindparam("parts"),
        small_parts=bindparam("small_parts"),
        last_part_small=bindparam("last_part_small"),
    )
)
_ADD_PART = Change(
    insert(upload_parts).values(
        upload_id=bindparam("upload_id"), number=bindparam("number"), size=bindparam("size"), etag=bindparam("etag")
    )
)
_SET_PART = Change(
    update(upload_parts)
    .where(upload_parts.c.upload_id == bindparam("of"), upload_parts.c.number == bindparam("at"))
    .values(size=bindparam("size"), etag=bindparam("etag"))
)
_ADD_PIECE = Change(
    insert(upload_pieces).values(
        upload_id=bindparam("upload_id"),
        start=bindparam("start"),
        size=bindparam("size"),
        content=bindparam("content"),
        name=bindparam("name"),
    )
)
_SET_PIECE = Change(
    update(upload_pieces)
    .where(upload_pieces.c.upload_id == bindparam("of"), upload_pieces.c.start == bindparam("at"))
    .values(size=bindparam("size"), content=bindparam("content"))
)
_DROP_PIECES = Change(delete(upload_pieces).where(upload_pieces.c.upload_id == bindparam("of")))
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


def begin(
    conn: Connection, upload_id: str, repository_id: int, account: str, quota: UploadQuota, at: float, by: str
) -> bool:
    """Add an empty upload; False when a quota is used up, and then the transaction must not be committed."""
    finished = _FORGET_FINISHED.all(conn, {"of": repository_id})
    more = 1 - len(finished)  # mostly none: an upload takes the place of the last one that was finished
    usage.give_back(conn, usage.upload_bytes_of_account(account), sum(row.reserved for row in finished))
    if not usage.take(conn, usage.uploads_of_repository(repository_id), more, quota.in_repository):
        return False
    if not usage.take(conn, usage.uploads_of_account(account), more, quota.in_account):
        count_out(conn, account)
        if not usage.take(conn, usage.uploads_of_account(account), more, quota.in_account):
            return False
    _BEGIN.run(conn, {"id": upload_id, "repository_id": repository_id, "at": at, "by": by})
    return True


def find(conn: Connection, ref: RepositoryRef, upload_id: str) -> UploadRow | None:
    """Return the upload; None when this repository has none of that id."""
    return _FIND.first(conn, {"id": upload_id, **ref._asdict()})


def staged(conn: Connection, upload: UploadRow) -> Staged:
    """Return the parts and pieces of the upload."""
    parts: tuple[Part, ...] = ()
    pieces: tuple[Piece, ...] = ()
    if upload.in_parts:
        parts = tuple(_PARTS.all(conn, {"of": upload.id}))
    if upload.size > upload.in_parts:
        pieces = tuple(_PIECES.all(conn, {"of": upload.id}))
    return Staged(upload.id, upload.session, parts, pieces)


def add_piece(conn: Connection, found: UploadRow, content: bytes, growth: Growth) -> bool:
    """Add bytes that are kept in the metadata; False (and no change) if the upload has changed since it was found."""
    if not _grow(conn, found, found.size + len(content), found.in_parts, found.session, growth):
        return False
    if found.size > found.in_parts and len(content) < MERGED:
        last = _LAST_PIECE.first(conn, {"of": found.id})
        if last is not None and last.content is not None and last.size + len(content) <= MERGED:
            joined = bytes(last.content) + content
            _SET_PIECE.run(conn, {"of": found.id, "at": last.start, "size": len(joined), "content": joined})
            return True
    _add_pieces(conn, found.id, found.size, [Piece(len(content), content)])
    return True


def record(conn: Connection, found: UploadRow, before: Staged, after: Staged, growth: Growth) -> bool:
    """Record what `BlobStore.append` made of `before`; False (and no change) if the upload has changed since.

    Writes only the parts and pieces that differ.
    """
    if not _grow(conn, found, after.size, after.in_parts, after.session, growth):
        return False
    for number, part in enumerate(after.parts):
        values = {"size": part.size, "etag": part.etag}
        if number >= len(before.parts):
            _ADD_PART.run(conn, {"upload_id": found.id, "number": number, **values})
        elif part != before.parts[number]:
            _SET_PART.run(conn, {"of": found.id, "at": number, **values})
    kept = len(before.pieces)
    if after.pieces[:kept] != before.pieces:
        _DROP_PIECES.run(conn, {"of": found.id})
        kept = 0
    start = after.in_parts + sum(piece.size for piece in after.pieces[:kept])
    _add_pieces(conn, found.id, start, after.pieces[kept:])
    return True


def _grow(conn: Connection, found: UploadRow, size: int, in_parts: int, session: str | None, growth: Growth) -> bool:
    values = {
        "upload_id": found.id,
        "was": found.size,
        "size": size,
        "in_parts": in_parts,
        "session": session,
        "sha256": growth.sha256,
        "updated_at": growth.at,
        "parts": found.parts + 1,
        "small_parts": found.small_parts + int(found.last_part_small),
        "last_part_small": growth.small,
    }
    return bool(_GROW.run(conn, values))


def _add_pieces(conn: Connection, upload_id: str, start: int, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        _ADD_PIECE.run(conn, {"upload_id": upload_id, "start": start, **piece._asdict()})
        start += piece.size


def reserve(conn: Connection, upload_id: str, account: str, more: int, most: int, at: float) -> bool:
    """Charge the upload with `more` bytes of the blob store.

    False, and nothing is charged, when the uploads of the account would have more than `most`. LookupError when the
    upload has ended.
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
    """Note that the upload was used at `at`; False when it has ended."""
    return bool(_RENEW.run(conn, {"of": upload_id, "at": at}))


def fail(conn: Connection, upload_id: str) -> int:
    """Count a failed finish; return how many there were, or 0 when the upload has ended."""
    row = _FAIL.first(conn, {"of": upload_id})
    return 0 if row is None else int(row.failures)


def finish(conn: Connection, upload_id: str, account: str) -> bool:
    """Delete the upload with its parts and pieces; return whether there was one.

    It is charged to the quotas until the next one in the repository begins, or until `count_out`.
    """
    row = _END.first(conn, {"of": upload_id})
    if row is None:
        return False
    _FINISH.run(conn, {"account": account, "repository_id": row.repository_id, "reserved": row.reserved})
    return True


def end(conn: Connection, upload_id: str) -> bool:
    """Delete the upload with its parts and pieces, and no longer charge it; return whether there was one."""
    row = _END.first(conn, {"of": upload_id})
    if row is None:
        return False
    repository = _ACCOUNT.first(conn, {"repository_id": row.repository_id})
    assert repository is not None  # noqa: S101 - an upload goes with its repository
    _give_back(conn, row.repository_id, repository.account, [row.reserved])
    return True


def end_all(conn: Connection, repository_id: int, account: str) -> list[str]:
    """Delete every upload of the repository, and no longer charge them; return their ids."""
    here = uploads.c.repository_id == repository_id
    ended = conn.execute(delete(uploads).where(here).returning(uploads.c.id, uploads.c.reserved)).all()
    finished = _FORGET_FINISHED.all(conn, {"of": repository_id})
    _give_back(conn, repository_id, account, [row.reserved for row in (*ended, *finished)])
    return [row.id for row in ended]


def count_out(conn: Connection, account: str) -> None:
    """No longer charge the finished uploads of the account."""
    of = finished_uploads.c
    statement = delete(finished_uploads).where(of.account == account).returning(of.repository_id, of.reserved)
    reserved: dict[int, list[int]] = {}
    for row in conn.execute(statement).all():
        reserved.setdefault(row.repository_id, []).append(row.reserved)
    for repository_id in sorted(reserved):
        _give_back(conn, repository_id, account, reserved[repository_id])


def accounts_with_finished(conn: Connection, limit: int) -> list[str]:
    """Return accounts whose finished uploads are still charged."""
    return list(conn.execute(select(finished_uploads.c.account).distinct().limit(limit)).scalars())


def _give_back(conn: Connection, repository_id: int, account: str, reserved: Sequence[int]) -> None:
    """No longer charge uploads of these reserved sizes."""
    usage.give_back(conn, usage.upload_bytes_of_account(account), sum(reserved))
    usage.give_back(conn, usage.uploads_of_repository(repository_id), len(reserved))
    usage.give_back(conn, usage.uploads_of_account(account), len(reserved))


def rested(conn: Connection, before: float, limit: int) -> list[str]:
    """Return the ids of uploads that have not been used since `before`."""
    statement = select(uploads.c.id).where(uploads.c.updated_at < before).order_by(uploads.c.updated_at).limit(limit)
    return list(conn.execute(statement).scalars())


def of_deleted_repositories(conn: Connection, since: float, limit: int) -> list[str]:
    """Return the ids of uploads of repositories that were deleted after `since`."""
    statement = select(uploads.c.id).join(repositories, repositories.c.id == uploads.c.repository_id)
    return list(conn.execute(statement.where(repositories.c.deleted_at > since).limit(limit)).scalars())


def end_rested(conn: Connection, upload_id: str, before: float) -> bool:
    """Do what `end` does if the upload has not been used since `before`."""
    resting = select(uploads.c.id).where(uploads.c.id == upload_id, uploads.c.updated_at < before)
    return conn.execute(resting).first() is not None and end(conn, upload_id)


def known(conn: Connection, names: list[str]) -> set[str]:
    """Return those of `names` that are uploads."""
    return set(conn.execute(select(uploads.c.id).where(uploads.c.id.in_(names))).scalars())
