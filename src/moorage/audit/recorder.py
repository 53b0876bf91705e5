"""Records decisions and events: off the hot path, in batches, bounded in memory and in rows.

There are two queues. Writes, made or refused, are never dropped: while the queue has no room for a caller's next write,
the caller waits. Everything else (reads, denied reads, requests that did not authenticate) is recorded while there is
room and the principal has rows left for the day, and is only counted beyond that. docs/reference/audit-record.md lists
the guarantees.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
import structlog

from moorage import metrics
from moorage.access.caller import Caller
from moorage.access.recording import DecisionEntry
from moorage.audit.batch_writer import BatchWriter, PendingBatch
from moorage.audit.bounds import DailyRowLimit, EqualFailures, MemoryBudget, Owner, owner_of
from moorage.audit.event import AuditEvent, EventDetail
from moorage.audit.omitted_requests import OmittedRequests
from moorage.audit.rows import RecordIds, RowBuilder
from moorage.clock import Clock
from moorage.errors import ServerFault, Throttling
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import DAY, AuditStore, Batch
from moorage.store.metadata.audit.tables import DecisionRow

FLUSH_SECONDS: Final = 0.05
_PAUSE_FACTOR: Final = 5.0
"""Pause after writing a batch, as a multiple of the time the batch took, up to _MAX_PAUSE."""
_MAX_PAUSE: Final = 1.0
_LOG_SECONDS: Final = 10.0
_ROOM_SECONDS: Final = 10.0
"""How long a write waits for room in the record before it is refused."""
_SLOWED_SECONDS: Final = 1.0
"""Time between two writes of a principal that has used up its rows of the day with failed writes."""
_log = structlog.get_logger()


class AuditUnavailable(ServerFault):
    """The audit database cannot be written, so nothing may be changed."""

    def __init__(self) -> None:
        super().__init__("The audit record cannot be written, so nothing was changed. Try again later.")


class _Unwritten(NamedTuple):
    """Rows of writes that the database did not accept; they are retried with the next batch."""

    batch: Batch
    space: list[Mapping[Owner, int]]


def _equal(event: AuditEvent) -> object:
    """Return the key that equal reads of a moment share."""
    connection = event.connection
    return (
        id(event.caller),
        event.name,
        event.request,
        event.response,
        event.error_code,
        connection.source_ip,
        connection.user_agent,
        id(event.origin),
        tuple(map(id, connection.decisions)),
    )


class Recorder:
    """Collects decisions and events and writes them a moment later.

    Calls `dropped` with the kind (`write` or `other`) and number of records that are lost or only counted.
    """

    def __init__(
        self, store: AuditStore, clock: Clock, settings: Settings, dropped: Callable[[str, int], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._dropped = dropped
        self._unlogged = {"write": 0, "other": 0}
        self._logged_at: float | None = None
        self._ids = RecordIds()
        self._rows = RowBuilder(self._ids)
        self._writer = BatchWriter(store, self._lose)
        self._entries: dict[object, DecisionEntry] = {}
        self._events: dict[object, AuditEvent] = {}
        self._summaries = OmittedRequests(self._ids)
        self._unwritten: _Unwritten | None = None
        self._writes = MemoryBudget(settings.audit_queue_bytes // 2)
        self._others = MemoryBudget(settings.audit_queue_bytes // 2)
        self._read_rows = DailyRowLimit(settings.audit_rows_per_day)
        self._failed_rows = DailyRowLimit(settings.audit_rows_per_day)
        self._failures = EqualFailures()
        self._turns: dict[Owner, float] = {}
        self._freed = asyncio.Event()
        self._something = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start to write, in the running event loop."""
        self._tasks = [asyncio.create_task(self._write_loop())]

    async def stop(self) -> None:
        """Write what waits, and stop. The store stays open."""
        async with self._flushing:  # no batch is interrupted
            for task in self._tasks:
                task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.flush()
        if self._unwritten is not None:
            lost = self._unwritten.batch
            self._logged_at = None
            self._lose("write", len(lost.decisions) + len(lost.events))

    async def admit(self, caller: Caller) -> None:
        """Wait until the record has room for a write of `caller`. Await this before the write changes anything.

        Raise Throttling if the caller would wait too long for the records of its own requests, and AuditUnavailable if
        the database accepts no records.
        """
        owner = owner_of(caller)
        if not self._writes.has_room(owner):
            await self._wait_for_room(owner)
        if self._failed_rows.is_used_up(owner, self._clock.now()):
            await self._wait_for_turn(owner)

    def record(self, entry: DecisionEntry) -> DecisionEntry:
        """Record a decision. Return the entry that represents it: the first of equal ones."""
        decision = entry.decision
        if decision.allowed:
            request = decision.request
            # Similar requests of one second share their context (`context.Contexts`).
            key: object = (id(entry.caller), id(entry.policies), id(request.context), request.action, request.resource)
        else:
            key = entry.id = self._failures.first(self._ids.of_denial(entry), entry.at, entry.id)
        same = self._entries.get(key)
        if same is not None:
            same.count += 1
            same.last = entry.at
            return same
        owner = owner_of(entry.caller)
        if self._read_rows.is_used_up(owner, entry.at) or not self._others.has_room(owner):
            return entry  # `record_event` keeps it after all if it is the decision of a write
        self._keep(key, entry, owner, self._others)
        return entry

    def _keep(self, key: object, entry: DecisionEntry, owner: Owner, space: MemoryBudget) -> None:
        entry.is_kept = True
        space.add(owner, entry.size)
        self._entries[key] = entry
        self._wake()

    def record_event(self, event: AuditEvent) -> str:
        """Record a request's outcome. Return the id of the event that represents it.

        If equal events share a row, that is the id of the row and not `event.id`: return it to the client.
        """
        event.at = event.last = self._clock.now()
        key = _equal(event) if event.error_code is None and event.read_only else self._key(event)
        same = self._events.get(key)
        if same is not None:
            same.count += 1
            same.last = event.at
            return same.id
        owner = owner_of(event.caller, authenticated=event.authenticated)
        if event.is_write:
            self._keep_write(key, event, owner)
        else:
            self._keep_other(key, event, owner)
        return event.id

    def _key(self, event: AuditEvent) -> object:
        """Return the key that equal events share. Sets `event.id` of a failure to the id of the first equal one."""
        decisions = event.connection.decisions
        if event.error_code is None and event.authenticated:
            return id(event)
        if not (event.authenticated and decisions):
            digest = self._ids.of_failure(event)
            event.id = self._failures.first(digest, event.at, event.id or digest)
        elif not any(each.id == event.id and not each.decision.allowed for each in decisions):
            return _equal(event) if event.read_only else id(event)
        return event.id

    def _keep_write(self, key: object, event: AuditEvent, owner: Owner) -> None:
        event.id = event.id or str(uuid.uuid4())
        for entry in event.connection.decisions:
            entry.is_of_write = True
            if not entry.is_kept:
                self._keep_for_write(entry, owner)
        size = event.size
        self._writes.add(owner, size)
        self._events[key] = event
        self._wake()
        failed = event.error_code is not None
        if failed and self._failures.is_new(event) and not self._failed_rows.is_used_up(owner, event.at):
            self._failed_rows.add(owner, size)

    def _keep_for_write(self, entry: DecisionEntry, owner: Owner) -> None:
        """Keep a decision for which the other queue had no room. Equal denials have one id."""
        key = entry.id or id(entry)
        same = self._entries.get(key)
        if same is None:
            self._keep(key, entry, owner, self._writes)
        else:
            entry.is_kept = same.is_of_write = True
            same.count += entry.count
            same.last = entry.last

    def _keep_other(self, key: object, event: AuditEvent, owner: Owner) -> None:
        if self._read_rows.is_used_up(owner, event.at) or not self._others.has_room(owner):
            self._dropped("other", 1 + sum(not each.is_kept for each in event.connection.decisions))
            if self._summaries.count(event, owner):
                self._wake()
            return
        size = event.size
        self._others.add(owner, size)
        self._events[key] = event
        self._wake()
        if event.error_code is None or self._failures.is_new(event):
            self._read_rows.add(owner, size)

    async def _wait_for_room(self, owner: Owner) -> None:
        metrics.AUDIT_DELAYED.inc()
        try:
            async with asyncio.timeout(_ROOM_SECONDS):
                while not self._writes.has_room(owner):
                    await self._freed.wait()
        except TimeoutError:
            raise Throttling() if self._unwritten is None else AuditUnavailable() from None

    async def _wait_for_turn(self, owner: Owner) -> None:
        """Admit one write a second of a principal that has used up its rows of the day with failed writes."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._turns.get(owner, 0.0))
        if turn - now > _ROOM_SECONDS:
            raise Throttling
        metrics.AUDIT_DELAYED.inc()
        self._turns = {each: at for each, at in self._turns.items() if at > now}
        self._turns[owner] = turn + _SLOWED_SECONDS
        await asyncio.sleep(turn - now)

    def _wake(self) -> None:
        if not self._something.is_set():
            self._something.set()

    def _lose(self, kind: str, number: int) -> None:
        """Count records that are lost, and log them at most every _LOG_SECONDS."""
        self._dropped(kind, number)
        self._unlogged[kind] += number
        now = asyncio.get_running_loop().time()
        if self._logged_at is None or now - self._logged_at >= _LOG_SECONDS:
            _log.error("audit records lost", writes=self._unlogged["write"], others=self._unlogged["other"])
            self._logged_at = now
            self._unlogged = {"write": 0, "other": 0}

    async def find(self, record_id: str) -> DecisionRow | None:
        """Return the decision with that id, also if it is not written yet.

        For the id of a request, return the decision that denied it, otherwise the last one that it rested on.
        """
        await self.flush()
        found = await self._find(record_id)
        if found is None and self._settings.workers > 1:
            # Another worker may have made the decision and not written it yet.
            await asyncio.sleep(4 * FLUSH_SECONDS)
            found = await self._find(record_id)
        return found

    async def _find(self, record_id: str) -> DecisionRow | None:
        found = await self._store.find(record_id)
        if found is not None:
            return found
        event = await self._store.event(record_id)
        if event is None:
            return None
        ids = msgspec.json.decode(event.detail, type=EventDetail).decisions
        rows = await self._store.find_all(ids)
        ordered = [rows[each] for each in ids if each in rows]
        return next((row for row in ordered if not row.allowed), ordered[-1] if ordered else None)

    async def last_denial(self, principal: str) -> DecisionRow | None:
        """Return the newest denial of the principal with that ARN."""
        await self.flush()
        return await self._store.last_denial(principal)

    async def clear(self) -> None:
        """Delete everything (dev mode's reset)."""
        async with self._flushing:
            self._entries.clear()
            self._events.clear()
            self._summaries.take()
            unwritten, self._unwritten = self._unwritten, None
            self._release_writes([self._writes.take(), *(unwritten.space if unwritten is not None else ())])
            self._others.release(self._others.take())
            await self._store.clear()

    async def flush(self) -> None:
        """Write what waits now. If the database fails, records of writes wait for the next flush; others are lost."""
        # In a task, so that a request that is canceled while it waits for this does not cancel the batch.
        await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._flushing:
            self._show_waiting()
            taken = await self._take()
            if taken is None:
                return
            kept = await self._writer.write(taken)
            self._others.release(taken.other_space)
            if kept is None:
                self._rows.written()
                self._release_writes(taken.write_space)
                self._unwritten = None
            else:
                self._unwritten = _Unwritten(kept, taken.write_space)
            self._show_waiting()

    async def _take(self) -> PendingBatch | None:
        """Return the records that wait, as rows; None if there are none."""
        before = self._unwritten
        summaries = self._summaries.take()
        if not (self._entries or self._events or summaries or before):
            return None
        entries, self._entries = list(self._entries.values()), {}
        events, self._events = [*self._events.values(), *summaries], {}
        write_space, other_space = [self._writes.take()], self._others.take()
        batch = await asyncio.to_thread(self._rows.batch, entries, events, int(self._clock.now() // DAY))
        for kind, number in self._rows.failed.items():
            self._lose(kind, number)
        writes = {each.id for each in events if each.is_write}
        if before is not None:
            again = before.batch
            write_space += before.space
            writes.update(row.id for row in again.decisions)
            writes.update(row.id for row in again.events)
            batch = Batch(
                [*again.decisions, *batch.decisions],
                [*again.events, *batch.events],
                {**again.shared_values, **batch.shared_values},
                batch.day,
            )
        return PendingBatch(batch, entries, frozenset(writes), write_space, other_space)

    def _release_writes(self, space: list[Mapping[Owner, int]]) -> None:
        for each in space:
            self._writes.release(each)
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def _show_waiting(self) -> None:
        metrics.AUDIT_WAITING.labels("write").set(self._writes.used)
        metrics.AUDIT_WAITING.labels("other").set(self._others.used)

    async def _write_loop(self) -> None:
        loop, pause = asyncio.get_running_loop(), FLUSH_SECONDS
        while True:
            if self._unwritten is None:
                await self._something.wait()
            await asyncio.sleep(pause)
            self._something.clear()
            began = loop.time()
            try:
                await self.flush()
            except Exception:  # noqa: BLE001 - the next records must be written
                _log.exception("audit records not written")
            # Write less often while batches take long: more of the records are then equal, and requests wait less.
            pause = min(max(FLUSH_SECONDS, _PAUSE_FACTOR * (loop.time() - began)), _MAX_PAUSE)
