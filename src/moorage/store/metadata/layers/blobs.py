"""Statements about blobs: bytes stored once, by digest."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import blob_contents, blobs, layers

_HELD = exists().where(layers.c.digest == blobs.c.digest)


class BlobRow(NamedTuple):
    """A blob."""

    digest: str
    object_key: str
    """The object of the blob store with its bytes; empty when the metadata keep them."""
    size: int
    orphaned_at: float | None
    """Since when no repository holds it; None while one does."""


_FIND = Query(
    select(blobs.c.digest, blobs.c.object_key, blobs.c.size, blobs.c.orphaned_at).where(
        blobs.c.digest == bindparam("digest")
    ),
    BlobRow,
)
_ADD = Change(
    insert(blobs).values(
        digest=bindparam("digest"),
        object_key=bindparam("object_key"),
        size=bindparam("size"),
        stored_at=bindparam("stored_at"),
    )
)
_ADD_CONTENT = Change(insert(blob_contents).values(digest=bindparam("digest"), content=bindparam("content")))
_CONTENT = Query(select(blob_contents.c.content).where(blob_contents.c.digest == bindparam("digest")))
_DROP_CONTENT = Change(delete(blob_contents).where(blob_contents.c.digest == bindparam("of")))
_MOVE = Change(
    update(blobs)
    .where(blobs.c.digest == bindparam("of"), blobs.c.object_key == bindparam("was"))
    .values(object_key=bindparam("now"), stored_at=bindparam("at"))
)
_KEEP = Change(
    update(blobs).where(blobs.c.digest == bindparam("of"), blobs.c.orphaned_at.is_not(None)).values(orphaned_at=None)
)


def find(conn: Connection, digest: str) -> BlobRow | None:
    """Return the blob; None when none is stored."""
    return _FIND.first(conn, {"digest": digest})


def add(conn: Connection, digest: str, object_key: str, size: int, at: float) -> None:
    """Add a blob whose bytes are this object of the blob store."""
    _ADD.run(conn, {"digest": digest, "object_key": object_key, "size": size, "stored_at": at})


def add_small(conn: Connection, digest: str, content: bytes, at: float) -> None:
    """Add a blob whose bytes are kept in the metadata; its `object_key` is empty."""
    add(conn, digest, "", len(content), at)
    _ADD_CONTENT.run(conn, {"digest": digest, "content": content})


def content(conn: Connection, digest: str) -> bytes | None:
    """Return the bytes of a blob that the metadata keep; None when they keep none."""
    row = _CONTENT.first(conn, {"digest": digest})
    return None if row is None else bytes(row.content)


def drop_content(conn: Connection, digest: str) -> bool:
    """Delete the bytes of the blob that the metadata keep, but not its row; return whether there were any."""
    return bool(_DROP_CONTENT.run(conn, {"of": digest}))


def replace_content(conn: Connection, digest: str, was: str, content: bytes, at: float) -> None:
    """Keep these bytes of the blob in the metadata. Its lost bytes were the object `was`, or with "" kept here, too."""
    _MOVE.run(conn, {"of": digest, "was": was, "now": "", "at": at})
    drop_content(conn, digest)
    _ADD_CONTENT.run(conn, {"digest": digest, "content": content})


def replace_object(conn: Connection, digest: str, was: str, object_key: str, at: float) -> None:
    """Set the object with the blob's bytes. Its lost bytes were the object `was`, or with "" in the metadata."""
    _MOVE.run(conn, {"of": digest, "was": was, "now": object_key, "at": at})
    drop_content(conn, digest)


def keep(conn: Connection, digest: str) -> None:
    """Note that a repository has the blob: it is no orphan."""
    _KEEP.run(conn, {"of": digest})


def orphan(conn: Connection, digests: Sequence[str], at: float) -> None:
    """Note that those of `digests` that no repository has are orphans from `at` on."""
    if not digests:
        return  # an empty IN has SQLite look through every blob
    conn.execute(
        update(blobs).where(blobs.c.digest.in_(digests), blobs.c.orphaned_at.is_(None), ~_HELD).values(orphaned_at=at)
    )


def page(conn: Connection, after: str, limit: int) -> list[tuple[str, bool]]:
    """Return the next blobs after the digest `after`, and whether each must be marked as an orphan."""
    rows = conn.execute(
        select(blobs.c.digest, _HELD.label("held"), blobs.c.orphaned_at)
        .where(blobs.c.digest > after)
        .order_by(blobs.c.digest)
        .limit(limit)
    )
    return [(row.digest, not row.held and row.orphaned_at is None) for row in rows]


def orphans(conn: Connection, before: float, limit: int) -> list[str]:
    """Return the digests of blobs that have been orphans since before `before`."""
    statement = select(blobs.c.digest).where(blobs.c.orphaned_at < before).order_by(blobs.c.orphaned_at).limit(limit)
    return list(conn.execute(statement).scalars())


def free(conn: Connection, digest: str, before: float) -> str | None:
    """Delete the blob if it has been an orphan since before `before`; return the key of its object, or None."""
    row = conn.execute(
        select(blobs.c.object_key).where(blobs.c.digest == digest, blobs.c.orphaned_at < before, ~_HELD)
    ).one_or_none()
    if row is None:
        return None
    conn.execute(delete(blobs).where(blobs.c.digest == digest))
    return str(row.object_key) or None


def unmark_held(conn: Connection, digests: Sequence[str]) -> None:
    """Note that those of `digests` that a repository has are no orphans."""
    conn.execute(update(blobs).where(blobs.c.digest.in_(digests), _HELD).values(orphaned_at=None))


def object_keys(conn: Connection, names: Sequence[str]) -> set[str]:
    """Return those of `names` that are objects of blobs."""
    return set(conn.execute(select(blobs.c.object_key).where(blobs.c.object_key.in_(names))).scalars())
