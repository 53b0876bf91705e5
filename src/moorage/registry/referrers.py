"""Referrers: the images whose subject is another (signatures, SBOMs, attestations)."""

import json

from sqlalchemy import Connection

from moorage.errors import RepositoryNotFound
from moorage.names import Digest, RepositoryRef
from moorage.registry.image import Referrer
from moorage.store.metadata import images as image_rows
from moorage.store.metadata import repositories as repository_rows


def page_of_referrers(
    conn: Connection, ref: RepositoryRef, subject: Digest, artifact_type: str | None, after: int, limit: int
) -> tuple[list[Referrer], int | None]:
    """At most `limit` referrers of `subject` (which need not exist) after `after`, and where the next page begins."""
    repository = repository_rows.find(conn, ref)
    if repository is None:
        raise RepositoryNotFound(ref)
    rows = image_rows.referrers(conn, repository.id, subject, artifact_type, after, limit + 1)
    found = [
        Referrer(
            row.digest,
            row.media_type,
            row.size,
            row.artifact_type,
            None if row.annotations is None else json.loads(row.annotations),
        )
        for row in rows[:limit]
    ]
    return found, rows[limit - 1].id if len(rows) > limit else None
