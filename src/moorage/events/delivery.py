"""Delivers the events of the outbox, at least once and in the order of their positions, and deletes them afterwards.

The only target is the structured log, if `MOORAGE_EVENT_LOG` is on. A delivery that is interrupted repeats at most one
batch. Without a target events stay in the outbox until they expire, and a target that is added later gets them.
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

    def is_waiting(self, conn: Connection) -> bool:
        """Return whether there are events to deliver."""
        return self._settings.event_log and outbox.is_waiting(conn, LOG)

    async def waiting(self) -> int:
        """Return how many events wait to be delivered; 0 if they are not delivered at all."""
        return await self._db.read(lambda conn: outbox.waiting(conn, LOG)) if self._settings.event_log else 0

    async def deliver(self) -> AsyncIterator[int]:
        """Deliver what has been committed so far, if there is a target."""
        if self._settings.event_log:
            async for number in deliver(self._db):
                yield number

    async def delete_expired(self) -> AsyncIterator[int]:
        """Delete events that are too old by the time that really passed and delivered, and events that are too many."""
        before = (await self._elapsed.observe()).expired_before(self._settings.outbox_seconds)
        most, delivers = self._settings.outbox_events, self._settings.event_log
        async for number in delete_expired(self._db, before=before, most=most, delivers=delivers):
            yield number


async def deliver(db: Database) -> AsyncIterator[int]:
    """Deliver what has been committed so far to the log; yields the number of events in each batch.

    Ends when nothing is left, or when another process delivers as well.
    """
    while True:
        numbered = await db.transaction(lambda conn: outbox.give_positions(conn, BATCH), by_row=True, frees=True)
        delivered = await _deliver_batch(db)
        if delivered is None or not (numbered or delivered):
            return
        yield delivered
        await asyncio.sleep(0)


async def _deliver_batch(db: Database) -> int | None:
    """Deliver the events behind the cursor, and move it. None: another process moved it meanwhile."""

    def look(conn: Connection) -> tuple[int, list[StoredEvent]]:
        at = outbox.cursor(conn, LOG)
        return at, outbox.after(conn, at, BATCH)

    was, found = await db.read(look)
    if not found:
        return 0
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


async def delete_expired(db: Database, *, before: float, most: int, delivers: bool) -> AsyncIterator[int]:
    """Delete events of before `before`, and the oldest of more than `most`; yields how many in each batch.

    If the deployment `delivers` events, those that are not delivered are deleted only if they are too many, which is
    logged.
    """
    while found := await _expired(db, before, most, delivers):
        await _drop(db, [event for event, _ in found])
        if lost := sum(not is_read for _, is_read in found):
            _log.warning("events were deleted before they were delivered: too many waited", events=lost, most=most)
        yield len(found)


async def _expired(db: Database, before: float, most: int, delivers: bool) -> list[tuple[int, bool]]:
    def look(conn: Connection) -> list[tuple[int, bool]]:
        read_up_to = outbox.cursor(conn, LOG) if delivers else None
        return outbox.expired(conn, read_up_to=read_up_to, before=before, most=most, limit=EXPIRY_BATCH)

    return await db.read(look)


async def _drop(db: Database, ids: Sequence[int]) -> None:
    await db.transaction(lambda conn: outbox.drop(conn, ids), long=True, frees=True)
