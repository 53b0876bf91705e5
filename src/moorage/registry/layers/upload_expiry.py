"""Uploads that end by themselves: those that rested for too long, and those of deleted repositories."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import uploads

BATCH: Final = 500
"""Uploads looked up or ended in one transaction: a few milliseconds."""


async def expire_uploads(
    db: Database, blobs: BlobStore, *, rested_since: float, deleted_since: float
) -> AsyncIterator[int]:
    """End the uploads that have rested since before `rested_since`. Yields the number of each batch.

    Uploads of repositories deleted after `deleted_since` end with their repository. Quotas get back what finished
    uploads took. Rows go first and bytes afterwards: a crash between leaves bytes that `leftovers` finds.
    """
    for account in await db.read(lambda conn: uploads.accounts_with_finished(conn, BATCH)):
        await _count_out(db, account)
    while ids := await db.read(lambda conn: uploads.of_deleted_repositories(conn, deleted_since, BATCH)):
        await _end(db, ids)
        for upload_id in ids:
            await blobs.abort(upload_id)
        yield len(ids)
    while ids := await db.read(lambda conn: uploads.rested(conn, rested_since, BATCH)):
        ended = await _end_rested(db, ids, rested_since)
        for upload_id in ended:
            await blobs.abort(upload_id)
        yield len(ended)


async def _count_out(db: Database, account: str) -> None:
    await db.transaction(lambda conn: uploads.count_out(conn, account), long=True, by_row=True, frees=True)


async def _end(db: Database, ids: Sequence[str]) -> None:
    def work(conn: Connection) -> None:
        for upload_id in ids:
            uploads.end(conn, upload_id)

    await db.transaction(work, long=True, by_row=True, frees=True)


async def _end_rested(db: Database, ids: Sequence[str], before: float) -> list[str]:
    """End those that still rest; returns their ids."""

    def work(conn: Connection) -> list[str]:
        return [upload_id for upload_id in ids if uploads.end_rested(conn, upload_id, before)]

    return await db.transaction(work, long=True, by_row=True, frees=True)
