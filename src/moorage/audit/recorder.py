"""The recorder of decisions and events: off the hot path, in batches, bounded in memory and in rows.

Two queues. Writes (made or refused) are never dropped: a caller waits before its next one while the queue has no room
for it. Everything else (reads, denied reads, requests that proved no key) is kept as far as there is room and as its
principal has rows left for the day, and only counted beyond that. docs/how-to/audit.md says what is guaranteed.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import msgspec
import structlog

from moorage import metrics
from moorage.access.caller import Caller
from moorage.access.recording import Entry
from moorage.audit.bounds import DailyRows, Failures, Owner, Space, owner_of
from moorage.audit.records import Event, EventDetail
from moorage.audit.rows import Ids, Rows
from moorage.audit.summaries import Summaries
from moorage.audit.writing import BatchWriter, Taken
from moorage.clock import Clock
from moorage.errors import ServerFault, Throttling
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import DAY, AuditStore, Batch, Row

__all__ = ["Event", "EventDetail", "Recorder"]

FLUSH_SECONDS: Final = 0.05
_REST: Final = 5.0
"""The pause after a write, as a multiple of what it took; but not longer than:"""
_LONGEST_PAUSE: Final = 1.0
_FORGET_SECONDS: Final = 3600.0
_SAY_SECONDS: Final = 10.0
_ROOM_SECONDS: Final = 10.0
"""How long a write waits for room in the record before it is refused."""
_SLOWED_SECONDS: Final = 1.0
"""Between two writes of a principal that has used up its rows with failed ones."""
_log = structlog.get_logger()


class AuditUnavailable(ServerFault):
    """The audit database cannot be written, so nothing may be changed."""

    def __init__(self) -> None:
        super().__init__("The audit record cannot be written, so nothing was changed. Try again later.")


class _Unwritten(NamedTuple):
    """Rows of writes that the database would not take; they are tried again with the next batch."""

    batch: Batch
    space: list[Mapping[Owner, int]]


def _equal(event: Event) -> object:
    """What reads of a moment share that are equal in everything."""
    connection = event.connection
    return (
        id(event.caller),
        event.name,
        event.request,
        event.response,
        event.error_code,
        connection.source_ip,
        connection.user_agent,
        id(event.more),
        tuple(map(id, connection.decisions)),
    )


class Recorder:
    """Collects entries and events and writes them a moment later.

    `dropped` is called with the kind (`write` or `other`) and number of records that are lost or only counted.
    """

    def __init__(
        self, store: AuditStore, clock: Clock, settings: Settings, dropped: Callable[[str, int], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._dropped = dropped
        self._unsaid = {"write": 0, "other": 0}
        self._said_at: float | None = None
        self._ids = Ids()
        self._rows = Rows(self._ids)
        self._writer = BatchWriter(store, self._lose)
        self._entries: dict[object, Entry] = {}
        self._events: dict[object, Event] = {}
        self._summaries = Summaries(self._ids)
        self._unwritten: _Unwritten | None = None
        self._writes = Space(settings.audit_queue_bytes // 2)
        self._others = Space(settings.audit_queue_bytes // 2)
        self._read_rows = DailyRows(settings.audit_rows_per_day)
        self._failed_rows = DailyRows(settings.audit_rows_per_day)
        self._failures = Failures()
        self._turns: dict[Owner, float] = {}
        self._freed = asyncio.Event()
        self._something = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._since: Callable[[float], Awaitable[float]] = self._since_by_clock

    def start(self, since: Callable[[float], Awaitable[float]] | None = None) -> None:
        """Begin to write; in the event loop that serves.

        `since` returns the time since which so many seconds have really passed, for what is deleted after its time:
        the clock may have jumped. Without it the clock is trusted.
        """
        self._since = since or self._since_by_clock
        self._tasks = [asyncio.create_task(self._write_on()), asyncio.create_task(self._forget_on())]

    async def stop(self) -> None:
        """Write what waits, and end. The store stays open."""
        async with self._flushing:  # so that no batch is interrupted
            for task in self._tasks:
                task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.flush()
        if self._unwritten is not None:
            lost = self._unwritten.batch
            self._said_at = None
            self._lose("write", len(lost.decisions) + len(lost.events))

    async def admit(self, caller: Caller) -> None:
        """Wait until the record has room for a write of `caller`; to be awaited before the write does anything.

        Throttling when the caller has to wait too long for the records of its own requests; AuditUnavailable when the
        database takes none.
        """
        owner = owner_of(caller)
        if not self._writes.has_room(owner):
            await self._wait_for_room(owner)
        if self._failed_rows.spent(owner, self._clock.now()):
            await self._wait_for_turn(owner)

    def record(self, entry: Entry) -> Entry:
        """Take a decision into the record. Returns the entry that stands for it: of equal ones, the first."""
        decision = entry.decision
        if decision.allowed:
            request = decision.request
            # Requests of a second that are alike share their context (`context.Contexts`).
            key: object = (id(entry.caller), id(entry.policies), id(request.context), request.action, request.resource)
        else:
            key = entry.id = self._failures.first(self._ids.of_denial(entry), entry.at, entry.id)
        same = self._entries.get(key)
        if same is not None:
            same.count += 1
            same.last = entry.at
            return same
        owner = owner_of(entry.caller)
        if self._read_rows.spent(owner, entry.at) or not self._others.has_room(owner):
            return entry  # unless it is a write's, which `note` knows
        self._keep(key, entry, owner, self._others)
        return entry

    def _keep(self, key: object, entry: Entry, owner: Owner, space: Space) -> None:
        entry.is_kept = True
        space.add(owner, entry.size)
        self._entries[key] = entry
        self._wake()

    def note(self, event: Event) -> str:
        """Take a request's outcome into the record. Returns the id of the event that stands for it.

        The id differs from the one given where equal ones are one row: tell the client that one.
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

    def _key(self, event: Event) -> object:
        """What equal events share. Of failures, `event.id` becomes that of the first of them."""
        decisions = event.connection.decisions
        if event.error_code is None and event.authenticated:
            return id(event)
        if not (event.authenticated and decisions):
            digest = self._ids.of_failure(event)
            event.id = self._failures.first(digest, event.at, event.id or digest)
        elif not any(each.id == event.id and not each.decision.allowed for each in decisions):
            return _equal(event) if event.read_only else id(event)
        return event.id

    def _keep_write(self, key: object, event: Event, owner: Owner) -> None:
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
        if failed and self._failures.is_new(event) and not self._failed_rows.spent(owner, event.at):
            self._failed_rows.add(owner, size)

    def _keep_for_write(self, entry: Entry, owner: Owner) -> None:
        """Take a decision that found no room among the others; equal denials have one id."""
        key = entry.id or id(entry)
        same = self._entries.get(key)
        if same is None:
            self._keep(key, entry, owner, self._writes)
        else:
            entry.is_kept = same.is_of_write = True
            same.count += entry.count
            same.last = entry.last

    def _keep_other(self, key: object, event: Event, owner: Owner) -> None:
        if self._read_rows.spent(owner, event.at) or not self._others.has_room(owner):
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
        """One write a second of a principal that has filled its rows of the day with failed ones."""
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
        """Count what is lost although it should not be, and say so, at most once in a while."""
        self._dropped(kind, number)
        self._unsaid[kind] += number
        now = asyncio.get_running_loop().time()
        if self._said_at is None or now - self._said_at >= _SAY_SECONDS:
            _log.error("audit records lost", writes=self._unsaid["write"], others=self._unsaid["other"])
            self._said_at = now
            self._unsaid = {"write": 0, "other": 0}

    async def find(self, name: str) -> Row | None:
        """The recorded decision of that id, also when it is not written yet.

        Of a request's id: the decision that refused it, else the last one it rested on.
        """
        await self.flush()
        found = await self._find(name)
        if found is None and self._settings.workers > 1:
            # Another worker may have made the decision just now, and be about to write it.
            await asyncio.sleep(4 * FLUSH_SECONDS)
            found = await self._find(name)
        return found

    async def _find(self, name: str) -> Row | None:
        found = await self._store.find(name)
        if found is not None:
            return found
        event = await self._store.event(name)
        if event is None:
            return None
        named = msgspec.json.decode(event["detail"], type=EventDetail).decisions
        rows = await self._store.find_all(named)
        ordered = [rows[each] for each in named if each in rows]
        return next((row for row in ordered if not row["allowed"]), ordered[-1] if ordered else None)

    async def last_denial(self, principal: str) -> Row | None:
        """The newest denial of the principal with that ARN."""
        await self.flush()
        return await self._store.last_denial(principal)

    async def clear(self) -> None:
        """Forget everything (dev mode's reset)."""
        async with self._flushing:
            self._entries.clear()
            self._events.clear()
            self._summaries.take()
            unwritten, self._unwritten = self._unwritten, None
            self._release_writes([self._writes.take(), *(unwritten.space if unwritten is not None else ())])
            self._others.release(self._others.take())
            await self._store.clear()

    async def flush(self) -> None:
        """Write what waits now. Writes that the database will not take wait on; everything else is then lost."""
        # As a task: a request that gives up while it waits for this must not take the batch with it.
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

    async def _take(self) -> Taken | None:
        """What waits, as rows; None: nothing does."""
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
                {**again.parts, **batch.parts},
                batch.day,
            )
        return Taken(batch, entries, frozenset(writes), write_space, other_space)

    def _release_writes(self, space: list[Mapping[Owner, int]]) -> None:
        for each in space:
            self._writes.release(each)
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def _show_waiting(self) -> None:
        metrics.AUDIT_WAITING.labels("write").set(self._writes.used)
        metrics.AUDIT_WAITING.labels("other").set(self._others.used)

    async def _write_on(self) -> None:
        loop, pause = asyncio.get_running_loop(), FLUSH_SECONDS
        while True:
            if self._unwritten is None:
                await self._something.wait()
            await asyncio.sleep(pause)
            self._something.clear()
            began = loop.time()
            try:
                await self.flush()
            except Exception:  # noqa: BLE001 - whatever it was, the next records must be written
                _log.exception("audit records not written")
            # The more there is to write, the less often: more of it is equal then, and requests wait less.
            pause = min(max(FLUSH_SECONDS, _REST * (loop.time() - began)), _LONGEST_PAUSE)

    async def _since_by_clock(self, seconds: float) -> float:
        return self._clock.now() - seconds

    async def _forget(self) -> None:
        """Delete in batches what is past its time, with a breath between them."""
        before = await self._since(self._settings.audit_seconds)
        gone = await self._store.forget(before)
        while gone:
            await asyncio.sleep(0.1)
            gone = await self._store.forget(before)

    async def _forget_on(self) -> None:
        while True:
            try:
                await self._forget()
            except Exception:  # noqa: BLE001 - tried again in an hour
                _log.exception("old decisions not deleted")
            await asyncio.sleep(_FORGET_SECONDS)
