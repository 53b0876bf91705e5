"""When access keys and roles were used last: noted in memory, written a while later, off the way of requests."""

import asyncio
import contextlib
from typing import Final

import structlog

from moorage.clock import Clock
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys
from moorage.store.metadata.identity.access_keys import Use

WRITE_SECONDS: Final = 60.0
"""So long a use may be unwritten; IAM's own figures are hours late."""
_MOST: Final = 100_000

_log = structlog.get_logger()


class LastUses:
    """Notes uses. A process that dies loses the last minute of them, and nothing else."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, Use] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key_or_role_id: str, service: str, region: str) -> None:
        """An access key, or a role through a session of it, was used just now."""
        if len(self._noted) < _MOST or key_or_role_id in self._noted:
            self._noted[key_or_role_id] = Use(self._clock.now(), service[:64], region[:25])

    def start(self) -> None:
        """Begin to write; in the event loop that serves."""
        self._task = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Write what is noted, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.write()

    async def write(self) -> None:
        """Write what is noted."""
        noted, self._noted = self._noted, {}
        if noted:
            await self._db.transaction(lambda conn: access_keys.note_uses(conn, noted), durable=False)

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.write()
            except Exception:  # noqa: BLE001 - the next use is noted again
                _log.exception("last uses not written")
