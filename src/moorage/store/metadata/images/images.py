"""Statements about manifests, which are the images of a repository."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, case, delete, func, insert, select, update

from moorage.names import Digest, RepositoryRef
from moorage.store.metadata.database.statement import Change, Query, rows
from moorage.store.metadata.tables import manifest_references, manifests, repositories, tags


class ManifestRow(NamedTuple):
    """What a pull needs of a manifest."""

    id: int
    digest: Digest
    media_type: str
    body: bytes


class StoredRow(NamedTuple):
    """A manifest that is live or in the trash."""

    id: int
    deleted_at: float | None


class NewManifestRow(NamedTuple):
    """A manifest to insert."""

    repository_id: int
    digest: Digest
    media_type: str
    body: bytes
    image_size: int
    """Bytes, as DescribeImages returns them."""
    artifact_type: str | None
    config_media_type: str | None
    subject: Digest | None
    annotations: str | None
    """A JSON object."""
    pushed_at: float
    pushed_by: str


class ReferenceRow(NamedTuple):
    """A descriptor in a manifest to insert."""

    kind: str
    """`config`, `layer` or `child`."""
    digest: Digest
    media_type: str
    size: int


class DetailRow(NamedTuple):
    """An image without the body of its manifest."""

    id: int
    digest: Digest
    media_type: str
    image_size: int
    artifact_type: str | None
    config_media_type: str | None
    subject: Digest | None
    pushed_at: float
    last_pulled_at: float | None


class ImageIdRow(NamedTuple):
    """An image and one of its tags; None if it has none."""

    id: int
    digest: Digest
    tag: str | None


class ReferrerSizeRow(NamedTuple):
    """A referrer and an upper bound of the bytes of its annotations."""

    id: int
    size: int


class ReferrerRow(NamedTuple):
    """A referrer. `size` is that of its manifest in bytes; `annotations` is a JSON object."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str | None
    annotations: str | None


class _IdRow(NamedTuple):
    id: int


class _ImagesRow(NamedTuple):
    images: int


_LIVE = manifests.c.deleted_at.is_(None)
_IN_TRASH = manifests.c.deleted_at.is_not(None)
_PULL = tuple(manifests.c[name] for name in ManifestRow._fields)
_DETAIL = tuple(manifests.c[name] for name in DetailRow._fields)


# Built once: building a statement takes longer than running it.
_IN_REPOSITORY = (
    repositories.c.account == bindparam("account"),
    repositories.c.region == bindparam("region"),
    repositories.c.name == bindparam("name"),
    repositories.c.deleted_at.is_(None),
)
_BY_DIGEST = Query(
    select(*_PULL)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(*_IN_REPOSITORY, manifests.c.digest == bindparam("digest"), _LIVE),
    ManifestRow,
)
_BY_TAG = Query(
    select(*_PULL)
    .select_from(repositories)
    .join(tags, tags.c.repository_id == repositories.c.id)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(*_IN_REPOSITORY, tags.c.name == bindparam("tag"), _LIVE),
    ManifestRow,
)
_OF_DIGEST = select(manifests.c.id, manifests.c.deleted_at).where(
    manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest == bindparam("digest")
)
_STORED_LIVE = Query(_OF_DIGEST.where(_LIVE), StoredRow)
_STORED_IN_TRASH = Query(_OF_DIGEST.where(_IN_TRASH).order_by(manifests.c.id.desc()).limit(1), StoredRow)
_IMAGES = Query(select(repositories.c.images).where(repositories.c.id == bindparam("repository")), _ImagesRow)
_COUNT = Change(
    update(repositories)
    .where(repositories.c.id == bindparam("repository"))
    .values(images=repositories.c.images + bindparam("more"))
)
_ADD = Query(
    insert(manifests).values({name: bindparam(name) for name in NewManifestRow._fields}).returning(manifests.c.id),
    _IdRow,
)
_REFER = Change(
    insert(manifest_references).values({column.key: bindparam(column.key) for column in manifest_references.c})
)
_PARENTS = (
    select(manifests.c.digest)
    .join(manifest_references, manifest_references.c.manifest_id == manifests.c.id)
    .where(
        manifest_references.c.repository_id == bindparam("repository"),
        manifest_references.c.kind == "child",
        manifest_references.c.digest == bindparam("child"),
        _LIVE,
    )
    .limit(bindparam("most"))
)


def by_digest(conn: Connection, ref: RepositoryRef, digest: str) -> ManifestRow | None:
    """Return the manifest with that digest, or None."""
    return _BY_DIGEST.first(conn, {**ref._asdict(), "digest": digest})


def by_tag(conn: Connection, ref: RepositoryRef, tag: str) -> ManifestRow | None:
    """Return the manifest with that tag, or None."""
    return _BY_TAG.first(conn, {**ref._asdict(), "tag": tag})


def stored(conn: Connection, repository_id: int, digest: str) -> StoredRow | None:
    """Return the manifest with that digest: the live one, else the newest in the trash, else None."""
    values = {"repository_id": repository_id, "digest": digest}
    return _STORED_LIVE.first(conn, values) or _STORED_IN_TRASH.first(conn, values)


def live_id(conn: Connection, repository_id: int, digest: str) -> int | None:
    """Return the id of the live manifest with that digest, or None."""
    row = _STORED_LIVE.first(conn, {"repository_id": repository_id, "digest": digest})
    return None if row is None else row.id


def sizes(conn: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Return the image sizes of those of `digests` that the repository has."""
    statement = select(manifests.c.digest, manifests.c.image_size).where(
        manifests.c.repository_id == repository_id, manifests.c.digest.in_(list(digests)), _LIVE
    )
    return {row.digest: row.image_size for row in conn.execute(statement)}


def reaches(conn: Connection, repository_id: int, count: int) -> bool:
    """Return whether the repository has `count` live images or more."""
    row = _IMAGES.first(conn, {"repository": repository_id})
    return row is not None and row.images >= count


def _count(conn: Connection, repository_id: int, more: int) -> None:
    """Add `more`, which may be negative, to the number of live images of the repository."""
    if more:
        _COUNT.run(conn, {"repository": repository_id, "more": more})


def add(conn: Connection, new: NewManifestRow, references: Sequence[ReferenceRow]) -> int:
    """Insert a manifest and what it references; return its id."""
    row = _ADD.first(conn, new._asdict())
    assert row is not None  # noqa: S101 - the statement returns the row that it inserts
    _refer(conn, row.id, new.repository_id, references)
    _count(conn, new.repository_id, 1)
    return row.id


def restore(conn: Connection, repository_id: int, manifest_id: int) -> None:
    """Make a manifest in the trash live again."""
    _restore(conn, repository_id, manifest_id, {})


def push_again(conn: Connection, manifest_id: int, new: NewManifestRow, references: Sequence[ReferenceRow]) -> None:
    """Make a manifest in the trash live again, as if it had just been pushed."""
    _restore(conn, new.repository_id, manifest_id, new._asdict())
    conn.execute(delete(manifest_references).where(manifest_references.c.manifest_id == manifest_id))
    _refer(conn, manifest_id, new.repository_id, references)


def _restore(conn: Connection, repository_id: int, manifest_id: int, changes: dict[str, Any]) -> None:
    statement = update(manifests).where(manifests.c.id == manifest_id, _IN_TRASH)
    restored = conn.execute(statement.values(deleted_at=None, deleted_by=None, **changes)).rowcount
    _count(conn, repository_id, restored)


def _refer(conn: Connection, manifest_id: int, repository_id: int, references: Sequence[ReferenceRow]) -> None:
    new = [
        {"manifest_id": manifest_id, "position": position, "repository_id": repository_id, **reference._asdict()}
        for position, reference in enumerate(references)
    ]
    if new:
        _REFER.run_each(conn, new)


def move_to_trash(conn: Connection, repository_id: int, manifest_id: int, at: float, by: str) -> None:
    """Mark a manifest as deleted."""
    statement = update(manifests).where(manifests.c.id == manifest_id, _LIVE)
    _count(conn, repository_id, -conn.execute(statement.values(deleted_at=at, deleted_by=by)).rowcount)


def parents(conn: Connection, repository_id: int, digests: Iterable[str], limit: int) -> dict[str, list[str]]:
    """Return, for each of `digests` that live indexes name as a child, the digests of at most `limit` of them."""
    found: dict[str, list[str]] = {}
    for digest in digests:
        naming = conn.execute(_PARENTS, {"repository": repository_id, "child": digest, "most": limit})
        named = list(dict.fromkeys(naming.scalars()))
        if named:
            found[digest] = named
    return found


def is_referenced(conn: Connection, repository_id: int, digest: str) -> bool:
    """Return whether a live manifest of the repository names `digest` as its config or a layer."""
    return using(conn, repository_id, digest) is not None


def using(conn: Connection, repository_id: int, digest: str) -> str | None:
    """Return the digest of a live manifest of the repository that names `digest` as its config or a layer, or None."""
    statement = (
        select(manifests.c.digest)
        .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
        .where(
            manifest_references.c.repository_id == repository_id,
            manifest_references.c.digest == digest,
            manifest_references.c.kind != "child",
            _LIVE,
        )
        .limit(1)
    )
    return conn.execute(statement).scalar()


def _of_status(statement: Select[Any], tag_status: str | None) -> Select[Any]:
    tagged = select(tags.c.name).where(tags.c.manifest_id == manifests.c.id).exists()
    if tag_status == "TAGGED":
        return statement.where(tagged)
    return statement.where(~tagged) if tag_status == "UNTAGGED" else statement


def page(conn: Connection, repository_id: int, tag_status: str | None, after: int, limit: int) -> Sequence[DetailRow]:
    """Return the next images after the manifest id `after`, in order of their first push."""
    statement = select(*_DETAIL).where(manifests.c.repository_id == repository_id, manifests.c.id > after, _LIVE)
    return rows(conn, _of_status(statement, tag_status).order_by(manifests.c.id).limit(limit), DetailRow)


def details(conn: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, DetailRow]:
    """Return those of `digests` that the repository has, by digest."""
    statement = select(*_DETAIL).where(
        manifests.c.repository_id == repository_id, manifests.c.digest.in_(list(digests)), _LIVE
    )
    return {row.digest: row for row in rows(conn, statement, DetailRow)}


def page_ids(
    conn: Connection, repository_id: int, tag_status: str | None, after: tuple[int, str], limit: int
) -> Sequence[ImageIdRow]:
    """Return the next images after `after` (manifest id, tag), one row for each tag."""
    manifest_id, tag = after
    statement = (
        select(manifests.c.id, manifests.c.digest, tags.c.name)
        .select_from(manifests)
        .outerjoin(tags, tags.c.manifest_id == manifests.c.id)
        .where(
            manifests.c.repository_id == repository_id,
            manifests.c.id >= manifest_id,
            (manifests.c.id > manifest_id) | (tags.c.name > tag),
            _LIVE,
        )
    )
    if tag_status == "TAGGED":
        statement = statement.where(tags.c.name.is_not(None))
    elif tag_status == "UNTAGGED":
        statement = statement.where(tags.c.name.is_(None))
    return rows(conn, statement.order_by(manifests.c.id, tags.c.name).limit(limit), ImageIdRow)


def referrer_sizes(
    conn: Connection, repository_id: int, subject: str, artifact_type: str | None, after: int, limit: int
) -> Sequence[ReferrerSizeRow]:
    """Return the next manifests whose subject is `subject`, with an upper bound of the bytes of their annotations.

    Annotations are a part of the manifest, so the length of the manifest bounds theirs. Neither is read.
    """
    size = case((manifests.c.annotations.is_(None), 0), else_=func.length(manifests.c.body)).label("size")
    statement = select(manifests.c.id, size).where(
        manifests.c.repository_id == repository_id, manifests.c.subject == subject, manifests.c.id > after, _LIVE
    )
    if artifact_type is not None:
        statement = statement.where(manifests.c.artifact_type == artifact_type)
    return rows(conn, statement.order_by(manifests.c.id).limit(limit), ReferrerSizeRow)


def referrers(conn: Connection, ids: Sequence[int]) -> Sequence[ReferrerRow]:
    """Return the referrers with these ids, in the order of their ids."""
    statement = select(
        manifests.c.digest,
        manifests.c.media_type,
        func.length(manifests.c.body).label("size"),
        manifests.c.artifact_type,
        manifests.c.annotations,
    )
    return rows(conn, statement.where(manifests.c.id.in_(ids)).order_by(manifests.c.id), ReferrerRow)


def set_pulled(conn: Connection, manifest_id: int, at: float, unless_since: float) -> None:
    """Set the time of the last pull, unless it is `unless_since` or later already."""
    known = manifests.c.last_pulled_at
    conn.execute(
        update(manifests)
        .where(manifests.c.id == manifest_id, known.is_(None) | (known < unless_since))
        .values(last_pulled_at=at)
    )
