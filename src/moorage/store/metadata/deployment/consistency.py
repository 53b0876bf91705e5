"""Statements that check the metadata for consistency, and list what it expects in the blob store."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, insert, not_, or_, select, text, update

from moorage.store.metadata.identity.tables import sessions
from moorage.store.metadata.repositories import usage
from moorage.store.metadata.tables import (
    blob_contents,
    blobs,
    finished_uploads,
    layers,
    manifest_references,
    manifests,
    repositories,
    tags,
    uploads,
)
from moorage.store.metadata.tables import usage as counters

_MOST_PROBLEMS: Final = 20
"""Most lines that SQLite's own check reports about one file."""
_FOREIGN: Final = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
"""Prefixes of the media types of layers that registries need not have."""


class Count(NamedTuple):
    """A counter of `usage.py` that differs from what it counts."""

    scope: str
    stored: int
    counted: int


def problems_of_file(conn: Connection, *, quick: bool) -> list[str]:
    """Return what SQLite finds wrong with its file; nothing if the file is sound.

    `quick` leaves out the comparison of indexes with their tables, which takes most of the time.
    """
    check = "quick_check" if quick else "integrity_check"
    found = [str(row[0]) for row in conn.execute(text(f"PRAGMA {check}({_MOST_PROBLEMS})"))]
    return [] if found == ["ok"] else found


def dangling_rows(conn: Connection) -> Counter[tuple[str, str]]:
    """Count the rows of a SQLite file that refer to missing rows, by referring and referenced table."""
    return Counter((str(row[0]), str(row[2])) for row in conn.execute(text("PRAGMA foreign_key_check")))


def page_of_blobs(conn: Connection, after: str, limit: int, *, contents: bool) -> Sequence[Any]:
    """Return the next blobs after the digest `after`: `digest`, `object_key`, `size`, `length`, `content`.

    `length` and `content` are of the bytes that are kept beside the row; None when there are none. `content` is
    also None without `contents`.
    """
    content = (blob_contents.c.content,) if contents else ()
    statement = (
        select(
            blobs.c.digest,
            blobs.c.object_key,
            blobs.c.size,
            func.length(blob_contents.c.content).label("length"),
            *content,
        )
        .outerjoin(blob_contents, blob_contents.c.digest == blobs.c.digest)
        .where(blobs.c.digest > after)
        .order_by(blobs.c.digest)
        .limit(limit)
    )
    return conn.execute(statement).all()


def page_of_manifests(conn: Connection, after: int, limit: int, *, bodies: bool) -> Sequence[Any]:
    """Return the next manifests after the id `after`: `id`, `digest`, and with `bodies` `body`."""
    body = (manifests.c.body,) if bodies else ()
    statement = select(manifests.c.id, manifests.c.digest, *body).where(manifests.c.id > after)
    return conn.execute(statement.order_by(manifests.c.id).limit(limit)).all()


def page_of_uploads(conn: Connection, after: str, limit: int) -> Sequence[Any]:
    """Return the next uploads after the id `after` with bytes in the blob store: `id`, and `size`, how many."""
    of = uploads.c
    statement = select(of.id, of.in_parts.label("size")).where(of.id > after, of.in_parts > 0)
    return conn.execute(statement.order_by(of.id).limit(limit)).all()


def missing_references(conn: Connection, manifest_ids: Sequence[int]) -> Sequence[Any]:
    """Return what these manifests reference and their repositories lack: `manifest_id`, `kind`, `digest`."""
    held = (
        select(layers.c.digest)
        .where(
            layers.c.repository_id == manifest_references.c.repository_id,
            layers.c.digest == manifest_references.c.digest,
        )
        .exists()
    )
    named = manifests.alias("named")
    pushed = (
        select(named.c.id)
        .where(
            named.c.repository_id == manifest_references.c.repository_id,
            named.c.digest == manifest_references.c.digest,
        )
        .exists()
    )
    foreign = or_(*(manifest_references.c.media_type.startswith(each, autoescape=True) for each in _FOREIGN))
    of = manifest_references.c
    statement = select(of.manifest_id, of.kind, of.digest).where(
        of.manifest_id.in_(manifest_ids),
        or_((of.kind == "child") & ~pushed, (of.kind != "child") & ~held & not_(foreign)),
    )
    return conn.execute(statement.order_by(of.manifest_id, of.position)).all()


def images_with(conn: Connection, digest: str, limit: int) -> list[str]:
    """Return names of images that need the blob, those with a tag first."""
    naming = (
        select(manifest_references.c.manifest_id)
        .join(
            layers,
            (layers.c.repository_id == manifest_references.c.repository_id)
            & (layers.c.digest == manifest_references.c.digest),
        )
        .where(layers.c.digest == digest)
    )
    return _images(conn, manifests.c.id.in_(naming), limit)


def names_of(conn: Connection, manifest_id: int, limit: int) -> list[str]:
    """Return the names of an image, one for each of its tags."""
    return _images(conn, manifests.c.id == manifest_id, limit)


def _images(conn: Connection, where: Any, limit: int) -> list[str]:
    statement = (
        select(
            repositories.c.account,
            repositories.c.region,
            repositories.c.name,
            manifests.c.digest,
            manifests.c.deleted_at.label("image_deleted_at"),
            repositories.c.deleted_at.label("repository_deleted_at"),
            tags.c.name.label("tag"),
        )
        .select_from(manifests)
        .join(repositories, repositories.c.id == manifests.c.repository_id)
        .outerjoin(tags, tags.c.manifest_id == manifests.c.id)
        .where(where)
        .order_by(tags.c.name.is_(None), repositories.c.id, manifests.c.id, tags.c.name)
        .limit(limit)
    )
    return [_name(row) for row in conn.execute(statement)]


def _name(row: Any) -> str:
    reference = f"@{row.digest}" if row.tag is None else f":{row.tag}"
    deleted = row.image_deleted_at is not None or row.repository_deleted_at is not None
    return f"{row.account}/{row.region}/{row.name}{reference}{' (deleted)' if deleted else ''}"


def wrong_counters(conn: Connection) -> list[Count]:
    """Return the counters that differ from what they count."""
    counted = Counter(dict(_counted(conn)))
    stored = {row.scope: int(row.amount) for row in conn.execute(select(counters))}
    known = {scope for scope in stored if scope.startswith(_SCOPES)} | set(counted)
    return [
        Count(scope, stored.get(scope, 0), counted[scope])
        for scope in sorted(known)
        if stored.get(scope, 0) != counted[scope]
    ]


def set_counters(conn: Connection) -> list[Count]:
    """Set the counters that differ to what they count; return what they were."""
    wrong = wrong_counters(conn)
    for each in wrong:
        changed = conn.execute(update(counters).where(counters.c.scope == each.scope).values(amount=each.counted))
        if not changed.rowcount:
            conn.execute(insert(counters).values(scope=each.scope, amount=each.counted))
    return wrong


_SCOPES: Final = ("uploads of ", "upload bytes of ", "sessions of ")


def _counted(conn: Connection) -> Iterator[tuple[str, int]]:
    """Yield each scope with the number of what it counts, if that is not zero."""
    by_repository: Counter[int] = Counter()
    by_account: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    for row in _uploads(conn):
        by_repository[row.repository_id] += row.number
        by_account[row.account] += row.number
        reserved[row.account] += int(row.reserved)
    yield from ((usage.uploads_of_repository(each), number) for each, number in by_repository.items())
    yield from ((usage.uploads_of_account(each), number) for each, number in by_account.items())
    yield from ((usage.upload_bytes_of_account(each), number) for each, number in reserved.items())
    of_account: Counter[str] = Counter()
    of_identity: Counter[str] = Counter()
    owner = (sessions.c.account, sessions.c.identity_id)
    for row in conn.execute(select(*owner, func.count().label("number")).group_by(*owner)):
        of_account[usage.sessions_of_account(row.account)] += row.number
        of_identity[usage.sessions_of_identity(row.account, row.identity_id)] += row.number
    yield from of_account.items()
    yield from of_identity.items()


def _uploads(conn: Connection) -> Iterable[Any]:
    """Return the numbers and reserved bytes of open and of finished uploads, by account and repository."""
    figures = (func.count().label("number"), func.coalesce(func.sum(uploads.c.reserved), 0).label("reserved"))
    of_open = (repositories.c.account, uploads.c.repository_id)
    yield from conn.execute(
        select(*of_open, *figures)
        .select_from(uploads)
        .join(repositories, repositories.c.id == uploads.c.repository_id)
        .group_by(*of_open)
    )
    reserved = func.coalesce(func.sum(finished_uploads.c.reserved), 0).label("reserved")
    of_finished = (finished_uploads.c.account, finished_uploads.c.repository_id)
    yield from conn.execute(select(*of_finished, func.count().label("number"), reserved).group_by(*of_finished))
