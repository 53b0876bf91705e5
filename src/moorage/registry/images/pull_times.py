"""When images were last pulled: noted in memory, written in batches, at most once a day for each image, as ECR does."""

from typing import Final

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.images import images as image_rows

DAY: Final = 86_400.0
_MAX_KNOWN: Final = 100_000


class PullTimes:
    """Notes pulls and writes them later. A process that dies loses those it has not written."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[int, float] = {}
        self._waiting: dict[int, float] = {}

    def record(self, manifest_id: int) -> None:
        """Note that the manifest was pulled now. It takes a dictionary lookup."""
        now = self._clock.now()
        last = self._known.get(manifest_id)
        if last is not None and 0 <= now - last < DAY:
            return
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[manifest_id] = now
        self._waiting[manifest_id] = now

    async def flush(self) -> None:
        """Write what was noted. If that fails, it stays noted."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}

        def work(conn: Connection) -> None:
            for manifest_id, at in sorted(waiting.items()):
                image_rows.set_pulled(conn, manifest_id, at, at - DAY)

        try:
            await self._db.transaction(work, durable=False)
        except BaseException:
            self._waiting = {**waiting, **self._waiting}
            raise
