"""Statements about blobs: bytes stored once, by digest."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from moorage.store.metadata.tables import blobs, layers

_HELD = exists().where(layers.c.digest == blobs.c.digest)


def find(conn: Connection, digest: str) -> Row[Any] | None:
    """The blob (digest, object_key, size, stored_at, orphaned_at), or None."""
    return conn.execute(select(blobs).where(blobs.c.digest == digest)).one_or_none()


def add(conn: Connection, digest: str, object_key: str, size: int, at: float) -> None:
    conn.execute(insert(blobs).values(digest=digest, object_key=object_key, size=size, stored_at=at))


def keep(conn: Connection, digest: str) -> None:
    """A repository holds the blob (again): it is no orphan."""
    conn.execute(
        update(blobs).where(blobs.c.digest == digest, blobs.c.orphaned_at.is_not(None)).values(orphaned_at=None)
    )


def orphan(conn: Connection, digests: Sequence[str], at: float) -> None:
    """From `at` on those of `digests` that no repository holds are orphans."""
    conn.execute(
        update(blobs).where(blobs.c.digest.in_(digests), blobs.c.orphaned_at.is_(None), ~_HELD).values(orphaned_at=at)
    )


def page(conn: Connection, after: str, limit: int) -> list[tuple[str, bool]]:
    """The next blobs after the digest `after`, and whether each ought to become an orphan."""
    rows = conn.execute(
        select(blobs.c.digest, _HELD.label("held"), blobs.c.orphaned_at)
        .where(blobs.c.digest > after)
        .order_by(blobs.c.digest)
        .limit(limit)
    )
    return [(row.digest, not row.held and row.orphaned_at is None) for row in rows]


def orphans(conn: Connection, before: float, limit: int) -> list[str]:
    """Digests of blobs that have been orphans since before `before`."""
    statement = select(blobs.c.digest).where(blobs.c.orphaned_at < before).order_by(blobs.c.orphaned_at).limit(limit)
    return list(conn.execute(statement).scalars())


def free(conn: Connection, digest: str, before: float) -> str | None:
    """Forget the blob if it is still an orphan since before `before`; its object's key, or None."""
    row = conn.execute(
        select(blobs.c.object_key).where(blobs.c.digest == digest, blobs.c.orphaned_at < before, ~_HELD)
    ).one_or_none()
    if row is None:
        return None
    conn.execute(delete(blobs).where(blobs.c.digest == digest))
    return str(row.object_key)


def unmark_held(conn: Connection, digests: Sequence[str]) -> None:
    """Those of `digests` that a repository holds after all are no orphans."""
    conn.execute(update(blobs).where(blobs.c.digest.in_(digests), _HELD).values(orphaned_at=None))


def object_keys(conn: Connection, names: Sequence[str]) -> set[str]:
    """Those of `names` that are objects of blobs."""
    return set(conn.execute(select(blobs.c.object_key).where(blobs.c.object_key.in_(names))).scalars())
