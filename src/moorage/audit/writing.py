"""Writing a batch of the audit record: tried again, then row by row; rows of writes are given back, not lost."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from moorage.access.recording import Entry
from moorage.audit.bounds import Owner
from moorage.store.metadata.audit.audit import AuditStore, Batch

_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 1.0
_HOPELESS: Final = 20
"""Rows refused one after the other, after which the database is taken to be out of order: it is not the rows."""
_log = structlog.get_logger()


class Taken(NamedTuple):
    """Records that are being written, and the space they occupy."""

    batch: Batch
    entries: list[Entry]
    writes: frozenset[str]
    """Ids of the events of writes, and of all rows that are tried again."""
    write_space: list[Mapping[Owner, int]]
    other_space: Mapping[Owner, int]


class BatchWriter:
    """Writes batches. `lose` is called with the kind and number of rows that are lost."""

    def __init__(self, store: AuditStore, lose: Callable[[str, int], None]) -> None:
        self._store = store
        self._lose = lose

    async def write(self, taken: Taken) -> Batch | None:
        """Write a batch. Returns the rows of writes if the database takes nothing now; the others are then lost."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_RETRY_SECONDS)
            if await self._written(taken.batch):
                return None
        return await self._write_singly(taken)

    async def _write_singly(self, taken: Taken) -> Batch | None:
        """Write row by row. A row that is refused while others are taken is lost, for it would be refused again."""
        batch = taken.batch
        singles = [batch._replace(decisions=[row], events=[]) for row in batch.decisions]
        singles += [batch._replace(decisions=[], events=[row]) for row in batch.events]
        refused: list[Batch] = []
        for number, single in enumerate(singles):
            if not await self._written(single):
                refused.append(single)
                if len(refused) == number + 1 == _HOPELESS:
                    refused = singles
                    break
        writes = taken.writes | {entry.id for entry in taken.entries if entry.is_of_write}
        decisions = [row for single in refused for row in single.decisions if row.id in writes]
        events = [row for single in refused for row in single.events if row.id in writes]
        lost = {row.id for single in refused for row in single.decisions} - writes
        for entry in taken.entries:
            if entry.id in lost:
                entry.is_kept = False
        others = len(refused) - len(decisions) - len(events)
        if others:
            self._lose("other", others)
        if not decisions and not events:
            return None
        if len(refused) < len(singles):
            self._lose("write", len(decisions) + len(events))
            return None
        return batch._replace(decisions=decisions, events=events)

    async def _written(self, batch: Batch) -> bool:
        try:
            await self._store.append(batch)
        except Exception as error:  # noqa: BLE001 - the record must not end with one bad write; the caller counts it
            _log.warning("audit record not written", records=len(batch.decisions) + len(batch.events), error=str(error))
            return False
        return True
