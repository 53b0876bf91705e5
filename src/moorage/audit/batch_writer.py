"""Writes batches of the audit record: retries them, then writes row by row. Rows of writes are returned, never lost."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from moorage.access.recording import DecisionEntry
from moorage.audit.bounds import Owner
from moorage.store.metadata.audit.audit import AuditStore, Batch

_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 1.0
_HOPELESS: Final = 20
"""Rows that fail one after the other until the cause is taken to be the database and not the rows."""
_log = structlog.get_logger()


class PendingBatch(NamedTuple):
    """Records that are being written, and the memory they occupy."""

    batch: Batch
    entries: list[DecisionEntry]
    writes: frozenset[str]
    """Ids of the events of writes, and of all rows that are retried."""
    write_space: list[Mapping[Owner, int]]
    other_space: Mapping[Owner, int]


class BatchWriter:
    """Writes batches. Calls `lose` with the kind and number of rows that are lost."""

    def __init__(self, store: AuditStore, lose: Callable[[str, int], None]) -> None:
        self._store = store
        self._lose = lose

    async def write(self, taken: PendingBatch) -> Batch | None:
        """Write a batch. If the database accepts no row, return the rows of writes; other rows are lost."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_RETRY_SECONDS)
            if await self._written(taken.batch):
                return None
        return await self._write_singly(taken)

    async def _write_singly(self, taken: PendingBatch) -> Batch | None:
        """Write row by row. A row that fails while others succeed is lost, because it would fail again."""
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
        except Exception as error:  # noqa: BLE001 - the caller retries, and counts what is lost
            _log.warning("audit record not written", records=len(batch.decisions) + len(batch.events), error=str(error))
            return False
        return True
