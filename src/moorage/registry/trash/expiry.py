"""Destroys what has been in the trash past its retention period, and what exceeds the bounds of the trash.

Each function yields the number of images or repositories that it destroyed, after every transaction, so that its caller
can report progress or stop. Candidates are looked up first, and checked again in the transaction that destroys them, in
case they are restored at that moment.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Final

from moorage.registry.trash import rules
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import trash as images
from moorage.store.metadata.repositories import trash as repositories

BATCH: Final = 500
"""Images looked up or destroyed in one transaction, which takes a few milliseconds."""


async def destroy_expired_images(db: Database, *, before: float, now: float) -> AsyncIterator[int]:
    """Destroy the images that were deleted before `before`."""
    while manifests := await db.read(lambda conn: images.expired(conn, before, BATCH)):
        await _destroy_images(db, manifests, before=before, now=now)
        yield len(manifests)


async def destroy_expired_repositories(db: Database, *, before: float, most: int, now: float) -> AsyncIterator[int]:
    """Destroy the repositories that were deleted before `before`, and those of a registry beyond its newest `most`.

    Each is destroyed with everything in it, in a transaction of its own.
    """
    while ids := await db.read(lambda conn: repositories.expired(conn, before, 1)):
        await _destroy_repositories(db, ids, before=before, now=now)
        yield len(ids)
    while ids := await db.read(lambda conn: repositories.surplus(conn, most, 1)):
        await _destroy_repositories(db, ids, before=now + 1, now=now)
        yield len(ids)


async def destroy_surplus_images(db: Database, *, most: int, now: float) -> AsyncIterator[int]:
    """Destroy the deleted images of each repository beyond the `most` that were deleted last."""
    repository_id = await _next_repository(db, 0)
    while repository_id is not None:
        while surplus := await _surplus(db, repository_id, most):
            # An image that is restored and deleted again meanwhile has a later time of deletion, and stays.
            before = math.nextafter(max(at for _, at in surplus), math.inf)
            await _destroy_images(db, [manifest_id for manifest_id, _ in surplus], before=before, now=now)
            yield len(surplus)
        await asyncio.sleep(0)
        repository_id = await _next_repository(db, repository_id)


async def _next_repository(db: Database, after: int) -> int | None:
    return await db.read(lambda conn: images.next_with_trash(conn, after))


async def _surplus(db: Database, repository_id: int, most: int) -> list[tuple[int, float]]:
    return await db.read(lambda conn: images.surplus(conn, repository_id, most, BATCH))


async def _destroy_images(db: Database, manifests: Sequence[int], *, before: float, now: float) -> None:
    await db.transaction(
        lambda conn: rules.destroy_expired_images(conn, manifests, before=before, at=now), long=True, frees=True
    )


async def _destroy_repositories(db: Database, ids: Sequence[int], *, before: float, now: float) -> None:
    await db.transaction(
        lambda conn: rules.destroy_expired_repositories(conn, ids, before=before, at=now), long=True, frees=True
    )
