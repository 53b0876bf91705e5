"""What is destroyed for good: images and repositories in the trash past their retention, and those beyond a bound.

Each function yields how much it destroyed after every transaction, so that its caller can report progress or stop.
Candidates are looked up first and checked again in the transaction that destroys them: a restore at that moment either
wins or finds nothing.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import images
from moorage.store.metadata.layers import layers
from moorage.store.metadata.repositories import expired

BATCH: Final = 500
"""Images looked up or destroyed in one transaction: a few milliseconds."""


async def destroy_expired_images(db: Database, *, before: float, now: float) -> AsyncIterator[int]:
    """Destroy the images that were deleted before `before`. Yields the number of images in each batch."""

    def find(conn: Connection) -> list[int]:
        return images.expired(conn, before, BATCH)

    while manifests := await db.read(find):
        await _destroy(db, manifests, before=before, now=now)
        yield len(manifests)


async def destroy_expired_repositories(db: Database, *, before: float, most: int, now: float) -> AsyncIterator[int]:
    """Destroy the repositories that were deleted before `before`, and those of a registry beyond its newest `most`.

    Each goes with everything in it, in a transaction of its own. Yields 1 for each.
    """

    def find_expired(conn: Connection) -> list[int]:
        return expired.expired_repositories(conn, before, 1)

    while ids := await db.read(find_expired):
        await _destroy_repositories(db, ids, before)
        yield len(ids)

    def find_surplus(conn: Connection) -> list[int]:
        return expired.surplus_repositories(conn, most, 1)

    while ids := await db.read(find_surplus):
        await _destroy_repositories(db, ids, now + 1)
        yield len(ids)


async def destroy_surplus_images(db: Database, *, most: int, now: float) -> AsyncIterator[int]:
    """Destroy the deleted images of each repository beyond the `most` that were deleted last."""
    repository_id = await _next_repository(db, 0)
    while repository_id is not None:
        while surplus := await _surplus(db, repository_id, most):
            # Restored and deleted again meanwhile: its time of deletion is a later one.
            before = math.nextafter(max(at for _, at in surplus), math.inf)
            await _destroy(db, [manifest_id for manifest_id, _ in surplus], before=before, now=now)
            yield len(surplus)
        await asyncio.sleep(0)
        repository_id = await _next_repository(db, repository_id)


async def _next_repository(db: Database, after: int) -> int | None:
    return await db.read(lambda conn: images.next_with_trash(conn, after))


async def _surplus(db: Database, repository_id: int, most: int) -> list[tuple[int, float]]:
    return await db.read(lambda conn: images.surplus(conn, repository_id, most, BATCH))


async def _destroy(db: Database, manifests: Sequence[int], *, before: float, now: float) -> None:
    def work(conn: Connection) -> None:
        layers.renew_of_manifests(conn, manifests, now)
        images.destroy_expired(conn, manifests, before)

    await db.transaction(work, long=True, frees=True)


async def _destroy_repositories(db: Database, ids: Sequence[int], before: float) -> None:
    await db.transaction(lambda conn: expired.destroy_expired_repositories(conn, ids, before), long=True, frees=True)
