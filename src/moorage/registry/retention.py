"""Deletes histories and policy documents that no recorded decision needs for its explanation.

Each function yields the number of rows that each transaction deleted or marked.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.policies import documents, history

BATCH: Final = 500
"""Rows of histories looked up or deleted in one transaction, which takes a few milliseconds."""
DOCUMENTS: Final = 100
"""Policy documents looked up or deleted in one transaction. Each needs a lookup in ten indexes."""


async def trim_histories(db: Database, *, before: float) -> AsyncIterator[int]:
    """Delete rows that were superseded before `before`, and rows beyond the bound of an account."""
    ids = await db.read(history.ids)
    for each in history.HISTORIES:
        oldest = await _oldest_kept(db, each, *ids.get(each.table.name, (0, 0)))
        after = 0
        while page := await _page(db, each, after, before, oldest):
            after = page[-1][0]
            superseded = [row_id for row_id, is_superseded in page if is_superseded]
            if superseded:
                await _drop(db, each, superseded)
            yield len(superseded)
            await asyncio.sleep(0)


async def mark_unused_documents(db: Database, *, now: float) -> AsyncIterator[int]:
    """Mark each policy document that nothing refers to as unused from `now` on."""
    after = ""
    while page := await _page_of_documents(db, after):
        after = page[-1][0]
        unused = [name for name, is_unused in page if is_unused]
        if unused:
            await _mark(db, unused, now)
        yield len(unused)
        await asyncio.sleep(0)


async def drop_unused_documents(db: Database, *, before: float, most: int) -> AsyncIterator[int]:
    """Delete the documents unused since before `before`, and the oldest unused ones beyond `most`."""

    def find(conn: Connection) -> list[str]:
        return documents.due(conn, before, most, DOCUMENTS)

    while names := await db.read(find):
        await _drop_documents(db, names)
        yield len(names)


async def _oldest_kept(db: Database, of: history.History, lowest: int, highest: int) -> dict[str, int]:
    """Return, for each account with more rows than it may have, the id of the oldest row that it keeps.

    `lowest`, `highest`: the ids in the table. Counting starts at the newest row, so that other processes can delete the
    oldest ones at the same time.
    """
    counted: Counter[str] = Counter()
    oldest: dict[str, int] = {}
    below = highest + 1
    while below - lowest > history.MOST or counted:
        rows = await _owners(db, of, below)
        if not rows:
            break
        for row_id, account in rows:
            counted[account] += 1
            if counted[account] == history.MOST:
                oldest[account] = row_id
        below = rows[-1][0]
        await asyncio.sleep(0)
    return oldest


async def _owners(db: Database, of: history.History, below: int) -> list[tuple[int, str]]:
    return await db.read(lambda conn: history.owners(conn, of, below, BATCH))


async def _page(
    db: Database, of: history.History, after: int, before: float, oldest: Mapping[str, int]
) -> list[tuple[int, bool]]:
    return await db.read(lambda conn: history.page(conn, of, after, before, oldest, BATCH))


async def _drop(db: Database, of: history.History, ids: Sequence[int]) -> None:
    await db.transaction(lambda conn: history.drop(conn, of, ids), long=True, frees=True)


async def _page_of_documents(db: Database, after: str) -> list[tuple[str, bool]]:
    return await db.read(lambda conn: documents.page(conn, after, DOCUMENTS))


async def _mark(db: Database, names: Sequence[str], now: float) -> None:
    await db.transaction(lambda conn: documents.mark(conn, names, now), long=True, frees=True)


async def _drop_documents(db: Database, names: Sequence[str]) -> None:
    await db.transaction(lambda conn: documents.drop(conn, names), long=True, frees=True)
