"""Garbage collection: layers that no manifest uses, and blobs that no repository holds, end after a period of grace.

Everything is looked up first and checked again in the transaction that removes it, so a push at that moment either
keeps a blob or stores it again. Rows go first and bytes afterwards: a crash between leaves files for `leftovers`.
Each function yields the number of rows that every transaction changed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.blobs.store import BlobStore
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import blobs, layers

BATCH: Final = 500
"""Rows looked up or removed in one transaction: a few milliseconds."""


async def detach_unused_layers(db: Database, times: layers.Times, *, now: float) -> AsyncIterator[int]:
    """Detach layers from their repositories that no manifest, living or in the trash, has used since `times.expired`.

    A push may take longer than the period of grace. While something is added to an upload of the repository, its
    layers that wait for their manifest are renewed before they expire, provided that this runs twice in a period.
    """
    after = (0, "")
    while page := await _page_of_layers(db, after, times):
        after = page[-1][:2]
        unused = [(repository_id, digest) for repository_id, digest, use in page if use == "unused"]
        awaited = [(repository_id, digest) for repository_id, digest, use in page if use == "awaited"]
        if unused:
            await _detach(db, unused, times.expired, now)
        if awaited:
            await _renew(db, awaited, now)
        yield len(unused)
        await asyncio.sleep(0)


async def mark_orphans(db: Database, *, now: float) -> AsyncIterator[int]:
    """Note of each blob whose last repository was destroyed that it is an orphan from `now` on."""
    after = ""
    while page := await _page_of_blobs(db, after):
        after = page[-1][0]
        alone = [digest for digest, is_orphan in page if is_orphan]
        if alone:
            await _orphan(db, alone, now)
        yield len(alone)
        await asyncio.sleep(0)


async def free_orphans(db: Database, store: BlobStore, *, before: float) -> AsyncIterator[int]:
    """Delete the blobs that have been orphans since before `before`, rows and bytes."""

    def find(conn: Connection) -> list[str]:
        return blobs.orphans(conn, before, BATCH)

    while digests := await db.read(find):
        for key in await _free(db, digests, before):
            await store.delete(key)
        yield len(digests)


async def _page_of_layers(
    db: Database, after: tuple[int, str], times: layers.Times
) -> list[tuple[int, str, layers.Use]]:
    return await db.read(lambda conn: layers.page(conn, after, BATCH, times))


async def _page_of_blobs(db: Database, after: str) -> list[tuple[str, bool]]:
    return await db.read(lambda conn: blobs.page(conn, after, BATCH))


async def _detach(db: Database, unused: Sequence[tuple[int, str]], before: float, now: float) -> None:
    def work(conn: Connection) -> None:
        detached = [
            digest for repository_id, digest in unused if layers.detach_unused(conn, repository_id, digest, before)
        ]
        blobs.orphan(conn, detached, now)

    await db.transaction(work, long=True, frees=True)


async def _renew(db: Database, awaited: Sequence[tuple[int, str]], now: float) -> None:
    def work(conn: Connection) -> None:
        for repository_id, digest in awaited:
            layers.renew(conn, repository_id, digest, now)

    await db.transaction(work, long=True, by_row=True)


async def _orphan(db: Database, digests: Sequence[str], now: float) -> None:
    await db.transaction(lambda conn: blobs.orphan(conn, digests, now), long=True, frees=True)


async def _free(db: Database, digests: Sequence[str], before: float) -> list[str]:
    """Delete the rows of those that are still orphans. Returns the keys of their objects."""

    def work(conn: Connection) -> list[str]:
        keys = [blobs.free(conn, digest, before) for digest in digests]
        blobs.unmark_held(conn, digests)
        return [key for key in keys if key is not None]

    return await db.transaction(work, long=True, frees=True)
