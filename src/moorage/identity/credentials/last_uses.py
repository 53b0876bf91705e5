"""The last use of access keys, pull tokens and roles: collected in memory and written once a minute."""

import asyncio
import contextlib
from typing import Final

import structlog

from moorage.clock import Clock
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys
from moorage.store.metadata.identity.access_keys import Use

WRITE_SECONDS: Final = 60.0
"""How long a use may stay unwritten. IAM's own values are hours late."""
_MOST: Final = 100_000
"""How many keys, tokens and roles are collected at most before the next write."""

_log = structlog.get_logger()


class LastUses:
    """Collects uses. A process that dies loses the last minute of them, and nothing else."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._collected: dict[str, Use] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, used_id: str, service: str, region: str) -> None:
        """Note that a key, a token, or a session of a role was used just now."""
        if len(self._collected) < _MOST or used_id in self._collected:
            self._collected[used_id] = Use(self._clock.now(), service[:64], region[:25])

    def start(self) -> None:
        """Start writing, in the running event loop."""
        self._task = asyncio.create_task(self._write_forever())

    async def stop(self) -> None:
        """Write what was collected, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.write()

    async def write(self) -> None:
        """Write what was collected."""
        collected, self._collected = self._collected, {}
        if collected:
            await self._db.transaction(lambda conn: access_keys.record_uses(conn, collected), durable=False)

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.write()
            except Exception:  # noqa: BLE001 - the next use is collected again
                _log.exception("last uses not written")
