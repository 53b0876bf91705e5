"""Statements about manifests: the images of a repository."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, bindparam, case, delete, func, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import DELETED_AT, manifest_references, manifests, repositories, tags

_ALIVE = manifests.c.deleted_at.is_(None)
_IN_TRASH = manifests.c.deleted_at.is_not(None)
_PULL: tuple[Column[Any], ...] = (manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.body)
_DETAIL = tuple(column for column in manifests.c if column.name not in {"body", "annotations"})


# Built once: building a statement takes longer than running it.
_WITHIN = (
    repositories.c.account == bindparam("account"),
    repositories.c.region == bindparam("region"),
    repositories.c.name == bindparam("name"),
    repositories.c.deleted_at.is_(None),
)
_BY_DIGEST = Query(
    select(*_PULL)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(*_WITHIN, manifests.c.digest == bindparam("digest"), _ALIVE)
)
_BY_TAG = Query(
    select(*_PULL)
    .select_from(repositories)
    .join(tags, tags.c.repository_id == repositories.c.id)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(*_WITHIN, tags.c.name == bindparam("tag"), _ALIVE)
)


_OF_DIGEST = select(manifests.c.id, manifests.c.deleted_at).where(
    manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest == bindparam("digest")
)
_LIVING = Query(_OF_DIGEST.where(_ALIVE))
_TRASHED = Query(_OF_DIGEST.where(_IN_TRASH).order_by(manifests.c.id.desc()).limit(1))
_IMAGES = Query(select(repositories.c.images).where(repositories.c.id == bindparam("repository")))
_COUNT = Change(
    update(repositories)
    .where(repositories.c.id == bindparam("repository"))
    .values(images=repositories.c.images + bindparam("more"))
)
_WRITTEN = [
    column.key for column in manifests.c if column.key not in {"id", "last_pulled_at", "deleted_at", "deleted_by"}
]
_ADD = Query(insert(manifests).values({name: bindparam(name) for name in _WRITTEN}).returning(manifests.c.id))
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
        _ALIVE,
    )
    .limit(bindparam("most"))
)


def by_digest(conn: Connection, ref: RepositoryRef, digest: str) -> Any | None:
    """The manifest to pull (id, digest, media_type, body), or None."""
    return _BY_DIGEST.first(conn, {**ref._asdict(), "digest": digest})


def by_tag(conn: Connection, ref: RepositoryRef, tag: str) -> Any | None:
    """The manifest to pull (id, digest, media_type, body), or None."""
    return _BY_TAG.first(conn, {**ref._asdict(), "tag": tag})


def stored(conn: Connection, repository_id: int, digest: str) -> Any | None:
    """The manifest (id, deleted_at) of that digest, alive or in the trash, the living one first; or None."""
    values = {"repository_id": repository_id, "digest": digest}
    return _LIVING.first(conn, values) or _TRASHED.first(conn, values)


def sizes(conn: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Image sizes of those of `digests` that the repository has."""
    statement = select(manifests.c.digest, manifests.c.image_size).where(
        manifests.c.repository_id == repository_id, manifests.c.digest.in_(list(digests)), _ALIVE
    )
    return {row.digest: row.image_size for row in conn.execute(statement)}


def reaches(conn: Connection, repository_id: int, count: int) -> bool:
    """Whether the repository has `count` living images or more."""
    row = _IMAGES.first(conn, {"repository": repository_id})
    return row is not None and bool(row.images >= count)


def _count(conn: Connection, repository_id: int, more: int) -> None:
    """The repository has `more` living images than before; fewer, when negative."""
    if more:
        _COUNT.run(conn, {"repository": repository_id, "more": more})


def add(conn: Connection, values: dict[str, Any], references: Sequence[dict[str, Any]]) -> int:
    """A new manifest from the columns of `manifests`, and what it references (kind, digest, media_type, size)."""
    row = _ADD.first(conn, values)
    assert row is not None  # noqa: S101 - an insert returns what it inserted
    manifest_id = int(row.id)
    _refer(conn, manifest_id, values["repository_id"], references)
    _count(conn, values["repository_id"], 1)
    return manifest_id


def revive(conn: Connection, repository_id: int, manifest_id: int, **values: Any) -> None:
    """Bring a manifest of the repository back from the trash, with these columns changed."""
    statement = update(manifests).where(manifests.c.id == manifest_id, _IN_TRASH)
    back = conn.execute(statement.values(deleted_at=None, deleted_by=None, **values)).rowcount
    _count(conn, repository_id, back)


def push_again(
    conn: Connection, manifest_id: int, values: dict[str, Any], references: Sequence[dict[str, Any]]
) -> None:
    """Bring a manifest back from the trash as if it had just been pushed: as `add`."""
    revive(conn, manifest_id=manifest_id, **values)
    conn.execute(delete(manifest_references).where(manifest_references.c.manifest_id == manifest_id))
    _refer(conn, manifest_id, values["repository_id"], references)


def _refer(conn: Connection, manifest_id: int, repository_id: int, references: Sequence[dict[str, Any]]) -> None:
    rows = [
        {"manifest_id": manifest_id, "position": position, "repository_id": repository_id, **reference}
        for position, reference in enumerate(references)
    ]
    if rows:
        _REFER.run_each(conn, rows)


def trash(conn: Connection, repository_id: int, manifest_id: int, at: float, by: str) -> None:
    """Throw a manifest of the repository away."""
    statement = update(manifests).where(manifests.c.id == manifest_id, _ALIVE)
    _count(conn, repository_id, -conn.execute(statement.values(deleted_at=at, deleted_by=by)).rowcount)


def parents(conn: Connection, repository_id: int, digests: Iterable[str], limit: int) -> dict[str, list[str]]:
    """Of each of `digests` that living indexes name as a child: the digests of at most `limit` of them."""
    found: dict[str, list[str]] = {}
    for digest in digests:
        rows = conn.execute(_PARENTS, {"repository": repository_id, "child": digest, "most": limit})
        named = list(dict.fromkeys(rows.scalars()))
        if named:
            found[digest] = named
    return found


def is_referenced(conn: Connection, repository_id: int, digest: str) -> bool:
    """Whether a living manifest of the repository names `digest` as its config or a layer."""
    return using(conn, repository_id, digest) is not None


def using(conn: Connection, repository_id: int, digest: str) -> str | None:
    """The digest of a living manifest of the repository that names `digest` as its config or a layer, or None."""
    statement = (
        select(manifests.c.digest)
        .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
        .where(
            manifest_references.c.repository_id == repository_id,
            manifest_references.c.digest == digest,
            manifest_references.c.kind != "child",
            _ALIVE,
        )
        .limit(1)
    )
    return conn.execute(statement).scalar()


def _of_status(statement: Select[Any], tag_status: str | None) -> Select[Any]:
    tagged = select(tags.c.name).where(tags.c.manifest_id == manifests.c.id).exists()
    if tag_status == "TAGGED":
        return statement.where(tagged)
    return statement.where(~tagged) if tag_status == "UNTAGGED" else statement


def page(conn: Connection, repository_id: int, tag_status: str | None, after: int, limit: int) -> list[Row[Any]]:
    """The next images (all of `manifests` but the bodies) after the manifest id `after`, in order of their push."""
    statement = select(*_DETAIL).where(manifests.c.repository_id == repository_id, manifests.c.id > after, _ALIVE)
    return list(conn.execute(_of_status(statement, tag_status).order_by(manifests.c.id).limit(limit)))


def details(conn: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, Row[Any]]:
    """Those of `digests` that the repository has, as `page` gives them."""
    statement = select(*_DETAIL).where(
        manifests.c.repository_id == repository_id, manifests.c.digest.in_(list(digests)), _ALIVE
    )
    return {row.digest: row for row in conn.execute(statement)}


def page_ids(
    conn: Connection, repository_id: int, tag_status: str | None, after: tuple[int, str], limit: int
) -> list[Row[Any]]:
    """The next (manifest id, digest, tag or None), a row a tag, after (manifest id, tag)."""
    manifest_id, tag = after
    statement = (
        select(manifests.c.id, manifests.c.digest, tags.c.name)
        .select_from(manifests)
        .outerjoin(tags, tags.c.manifest_id == manifests.c.id)
        .where(
            manifests.c.repository_id == repository_id,
            manifests.c.id >= manifest_id,
            (manifests.c.id > manifest_id) | (tags.c.name > tag),
            _ALIVE,
        )
    )
    if tag_status == "TAGGED":
        statement = statement.where(tags.c.name.is_not(None))
    elif tag_status == "UNTAGGED":
        statement = statement.where(tags.c.name.is_(None))
    return list(conn.execute(statement.order_by(manifests.c.id, tags.c.name).limit(limit)))


def referrer_sizes(
    conn: Connection, repository_id: int, subject: str, artifact_type: str | None, after: int, limit: int
) -> list[Row[Any]]:
    """The next manifests whose subject is `subject` (id, size): an upper bound of their annotations in bytes.

    Reads neither manifests nor annotations: the annotations are a part of the manifest, whose length is at hand.
    """
    size = case((manifests.c.annotations.is_(None), 0), else_=func.length(manifests.c.body)).label("size")
    statement = select(manifests.c.id, size).where(
        manifests.c.repository_id == repository_id, manifests.c.subject == subject, manifests.c.id > after, _ALIVE
    )
    if artifact_type is not None:
        statement = statement.where(manifests.c.artifact_type == artifact_type)
    return list(conn.execute(statement.order_by(manifests.c.id).limit(limit)))


def referrers(conn: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    """These manifests in the order of their ids (digest, media_type, size, artifact_type, annotations)."""
    statement = select(
        manifests.c.digest,
        manifests.c.media_type,
        func.length(manifests.c.body).label("size"),
        manifests.c.artifact_type,
        manifests.c.annotations,
    )
    return list(conn.execute(statement.where(manifests.c.id.in_(ids)).order_by(manifests.c.id)))


def pulled(conn: Connection, manifest_id: int, at: float, unless_since: float) -> None:
    """The manifest was pulled at `at`; not written when it is known to have been pulled since `unless_since`."""
    known = manifests.c.last_pulled_at
    conn.execute(
        update(manifests)
        .where(manifests.c.id == manifest_id, known.is_(None) | (known < unless_since))
        .values(last_pulled_at=at)
    )


def expired(conn: Connection, before: float, limit: int) -> list[int]:
    """Ids of manifests in the trash since before `before`."""
    statement = select(manifests.c.id).where(manifests.c.deleted_at < before).order_by(manifests.c.deleted_at)
    return list(conn.execute(statement.limit(limit)).scalars())


def next_with_trash(conn: Connection, after: int) -> int | None:
    """The next repository after the id `after` that has deleted images."""
    here = (manifests.c.deleted_at.is_not(None), manifests.c.repository_id > after)
    statement = select(manifests.c.repository_id).where(*here).order_by(manifests.c.repository_id).limit(1)
    return conn.execute(statement).scalar_one_or_none()


def surplus(conn: Connection, repository_id: int, most: int, limit: int) -> list[tuple[int, float]]:
    """Id and time of deletion of the repository's deleted images beyond the `most` that were deleted last."""
    here = (manifests.c.deleted_at.is_not(None), manifests.c.repository_id == repository_id)
    newest_first = select(manifests.c.id, manifests.c.deleted_at).where(*here).order_by(DELETED_AT.desc())
    rows = conn.execute(newest_first.offset(most).limit(limit))
    return [(row.id, row.deleted_at) for row in rows]


def destroy_expired(conn: Connection, manifest_ids: Sequence[int], before: float) -> None:
    """Destroy those of the manifests that are still in the trash since before `before`."""
    conn.execute(delete(manifests).where(manifests.c.id.in_(manifest_ids), manifests.c.deleted_at < before))
