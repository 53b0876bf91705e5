"""Delivers the events of the outbox, at least once and in the order of their positions, and deletes them afterwards.

The only target is the structured log. A delivery that is interrupted repeats at most one batch.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection

from moorage.settings import Settings
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.events import outbox
from moorage.store.metadata.events.outbox import StoredEvent

LOG: Final = "log"
"""Name of the log's cursor."""
BATCH: Final = 100
"""Events delivered before the cursor moves; a few milliseconds of the event loop."""
EXPIRY_BATCH: Final = 500
"""Events deleted in one transaction: a few milliseconds."""

_log = structlog.get_logger("moorage.events")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Delivery:
    """Delivers what the outbox of a deployment holds."""

    def __init__(self, db: Database, elapsed: ElapsedTime, settings: Settings) -> None:
        self._db = db
        self._elapsed = elapsed
        self._settings = settings

    @staticmethod
    def is_waiting(conn: Connection) -> bool:
        """Return whether there are events to deliver."""
        return outbox.is_waiting(conn, LOG)

    async def waiting(self) -> int:
        """Return how many events wait to be delivered."""
        return await self._db.read(lambda conn: outbox.waiting(conn, LOG))

    def deliver(self) -> AsyncIterator[int]:
        """Deliver what has been committed so far."""
        return deliver(self._db, to_log=self._settings.event_log)

    async def delete_delivered(self) -> AsyncIterator[int]:
        """Delete delivered events that are too old by the time that really passed, and events that are too many."""
        before = (await self._elapsed.observe()).expired_before(self._settings.outbox_seconds)
        async for number in delete_delivered(self._db, before=before, most=self._settings.outbox_events):
            yield number


async def deliver(db: Database, *, to_log: bool) -> AsyncIterator[int]:
    """Deliver what has been committed so far; yields the number of events in each batch.

    Without `to_log` they only get their positions and count as delivered. Ends when nothing is left, or when another
    process delivers as well.
    """
    while True:
        numbered = await db.transaction(lambda conn: outbox.give_positions(conn, BATCH), by_row=True, frees=True)
        delivered = await _deliver_batch(db, to_log=to_log)
        if delivered is None or not (numbered or delivered):
            return
        yield delivered
        await asyncio.sleep(0)


async def _deliver_batch(db: Database, *, to_log: bool) -> int | None:
    """Deliver the events behind the cursor, and move it. None: another process moved it meanwhile."""

    def look(conn: Connection) -> tuple[int, list[StoredEvent]]:
        at = outbox.cursor(conn, LOG)
        return at, outbox.after(conn, at, BATCH)

    was, found = await db.read(look)
    if not found:
        return 0
    if to_log:
        for each in found:
            _write(each)
    to = found[-1].position
    moved = await db.transaction(
        lambda conn: outbox.move_cursor(conn, LOG, was=was, to=to), durable=False, by_row=True, frees=True
    )
    return len(found) if moved else None


def _write(event: StoredEvent) -> None:
    """Write one line: the members of the payload, beside what every row has."""
    members = _decode(event.payload) | {
        "position": event.position,
        "at": event.at,
        "account": event.account,
        "region": event.region,
        "kind": event.kind,
    }
    _log.info("event", **{name: value for name, value in members.items() if value not in (None, "")})


async def delete_delivered(db: Database, *, before: float, most: int) -> AsyncIterator[int]:
    """Delete delivered events of before `before`, and the oldest of more than `most`; yields how many in each batch.

    Those beyond `most` go whether they are delivered or not, which is logged.
    """
    while True:
        read_up_to, positions = await _expired(db, before, most)
        if not positions:
            return
        await _drop(db, positions)
        if lost := sum(position > read_up_to for position in positions):
            _log.warning("events were deleted before they were delivered: too many waited", events=lost, most=most)
        yield len(positions)


async def _expired(db: Database, before: float, most: int) -> tuple[int, list[int]]:
    def look(conn: Connection) -> tuple[int, list[int]]:
        at = outbox.cursor(conn, LOG)
        return at, outbox.expired(conn, read_up_to=at, before=before, most=most, limit=EXPIRY_BATCH)

    return await db.read(look)


async def _drop(db: Database, positions: Sequence[int]) -> None:
    await db.transaction(lambda conn: outbox.drop(conn, positions), long=True, frees=True)
