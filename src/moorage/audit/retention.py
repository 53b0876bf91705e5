"""Audit records are deleted when they are older than the retention period (`MOORAGE_AUDIT_SECONDS`)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from moorage.settings import Settings
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.audit.audit import AuditStore

_PAUSE_SECONDS: Final = 0.1
"""Between two batches: new records are written meanwhile."""


class AuditMaintenance:
    """What the audit record needs by itself. What has expired goes by the time that really passed."""

    def __init__(self, store: AuditStore, elapsed: ElapsedTime, settings: Settings) -> None:
        self._store = store
        self._elapsed = elapsed
        self._settings = settings

    async def delete_records(self) -> AsyncIterator[int]:
        """Delete decisions and events that are too old, and the parts that only they shared. Yields rows per batch."""
        before = await self._elapsed.since(self._settings.audit_seconds)
        while deleted := await self._store.delete_older(before):
            yield deleted
            await asyncio.sleep(_PAUSE_SECONDS)
