"""Referrers: the images whose subject is another (signatures, SBOMs, attestations)."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from moorage.errors import RepositoryNotFound
from moorage.names import Digest, RepositoryRef
from moorage.pages import Room
from moorage.registry.images.types import Referrer
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.repositories import repositories as repository_rows


def page_of_referrers(
    conn: Connection, ref: RepositoryRef, subject: Digest, artifact_type: str | None, after: int, limit: int
) -> tuple[list[Referrer], int | None]:
    """A page of the referrers of `subject` (which need not exist) after `after`, and where the next page begins.

    A page has at most `limit` referrers and `PAGE_BYTES` of annotations, and at least one referrer if there is any.
    """
    repository_id = repository_rows.id_of(conn, ref)
    if repository_id is None:
        raise RepositoryNotFound(ref)
    sizes = image_rows.referrer_sizes(conn, repository_id, subject, artifact_type, after, limit + 1)
    room = Room(limit)
    ids: list[int] = []
    for row in sizes:
        if not room.takes(row.size):
            break
        ids.append(row.id)
    found = [_referrer(row) for row in image_rows.referrers(conn, ids)] if ids else []
    return found, ids[-1] if len(sizes) > len(ids) else None


def _referrer(row: Row[Any]) -> Referrer:
    annotations = None if row.annotations in {None, "{}"} else msgspec.Raw(row.annotations.encode())
    return Referrer(row.digest, row.media_type, row.size, row.artifact_type, annotations)
