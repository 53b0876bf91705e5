"""Files in the blob store that no row knows: a crash left them, and they are deleted after a while.

A file without a row may belong to a push whose row is still to come. It becomes a suspect when it is first found. It is
deleted when it is found again, unchanged and still unknown, after `LEFTOVER_SECONDS` have passed. Suspects are rows, so
any process may continue the search of another.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.blobs.store import BlobStore, Leftover
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.layers import suspects
from moorage.store.metadata.layers.suspects import Suspect

LEFTOVER_SECONDS: Final = 3600.0
"""How long a file without a row is kept, whatever the settings: its push may be under way."""
BATCH: Final = 500
"""Files looked up in one transaction: a few milliseconds."""
MOST_SUSPECTS: Final = 100_000
"""Suspects that are stored. Files beyond them become suspects when others have been deleted."""


async def delete_leftovers(db: Database, store: BlobStore, *, before: float, now: float) -> AsyncIterator[int]:
    """Look through all files and delete those suspected since before `before`. Yields how many of each batch."""
    batch: list[Leftover] = []
    async for leftover in store.leftovers():
        batch.append(leftover)
        if len(batch) == BATCH:
            yield await _examine(db, store, batch, before=before, now=now)
            batch = []
    if batch:
        yield await _examine(db, store, batch, before=before, now=now)
    # All of them were found again and deleted, or are gone.
    await db.transaction(lambda conn: suspects.remove_before(conn, before), by_row=True, frees=True)


async def _examine(db: Database, store: BlobStore, batch: Sequence[Leftover], *, before: float, now: float) -> int:
    """Delete those of the batch that have been suspects for long enough; store the others that no row knows."""
    names = [(each.kind, each.name) for each in batch]

    def look(conn: Connection) -> tuple[set[suspects.Name], dict[suspects.Name, Suspect], int]:
        return suspects.known(conn, names), suspects.find(conn, names), suspects.count(conn)

    known, suspected, number = await db.read(look)
    fresh: list[Suspect] = []
    doomed: list[Leftover] = []
    for each in batch:
        name = (each.kind, each.name)
        suspect = suspected.get(name)
        if name in known:
            continue
        if suspect is None or suspect.modified_at != each.modified_at:
            fresh.append(Suspect("upload" if each.kind == "upload" else "object", each.name, now, each.modified_at))
        elif suspect.since < before:
            doomed.append(each)
    for each in doomed:
        await (store.abort(each.name) if each.kind == "upload" else store.delete(each.name))
    gone = [(each.kind, each.name) for each in doomed] + [name for name in suspected if name in known]
    fresh = fresh[: max(0, MOST_SUSPECTS - number)]

    def write(conn: Connection) -> None:
        suspects.remove(conn, gone)
        suspects.put(conn, fresh)

    if gone or fresh:
        await db.transaction(write, long=True, by_row=True, frees=True)
    return len(doomed)
