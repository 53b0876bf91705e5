"""The record of decisions and events: off the hot path, in batches, never lost without being counted.

Denials stand for themselves. Equal allowed decisions (same caller, action, resource, policies, rule and condition-key
values but the clock's) of an hour are one row a worker with their count; equal successful reads that are answered
within a moment are one event with theirs.
"""

import asyncio
import contextlib
import secrets
import uuid
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec
import structlog

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.parts import Parts
from moorage.clock import Clock
from moorage.names import Region
from moorage.settings import Settings
from moorage.store.metadata.audit import DAY, AuditStore, Batch, Row
from moorage.store.metadata.audit_tables import DecisionRow, EventRow

FLUSH_SECONDS: Final = 0.05
_REST: Final = 5.0
"""The pause after a write, as a multiple of what it took; but not longer than:"""
_LONGEST_PAUSE: Final = 1.0
_FORGET_SECONDS: Final = 3600.0
_SAY_SECONDS: Final = 10.0
_HOUR: Final = 3600.0
_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 1.0
_HOPELESS: Final = 20
"""Rows refused one after the other, after which the rest of a batch is given up: it is not the rows."""
_USUAL_BYTES: Final = 2048
"""What a record of the queue may hold; a longer one counts as several."""
_DECISIONS_NAMED: Final = 100
_DENIALS: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_log = structlog.get_logger()


class Entry(msgspec.Struct, gc=False):
    """A decision on its way to the record."""

    id: str
    """Told to the client of a denial; of allowed ones empty until it is written."""
    at: float
    last: float
    region: Region
    decision: policy.Decision
    policies: policy.Policies
    caller: Caller
    count: int = 1


class Event(msgspec.Struct, gc=False, kw_only=True):
    """A request and its outcome on its way to the record, in the terms of CloudTrail."""

    id: str = ""
    """The request's, where the client was told one."""
    source: str
    """E.g. `ecr.amazonaws.com`."""
    name: str
    """The API operation; of /v2/ the one that the request stands for."""
    region: Region
    caller: Caller
    connection: Connection
    """With the decisions that were made for the request; the first of them says which resource it was about."""
    read_only: bool
    request: bytes
    """requestParameters: JSON, without secrets and without the bytes of images."""
    response: bytes = b"null"
    """responseElements, likewise; `null` for reads."""
    error_code: str | None = None
    error_message: str | None = None
    authenticated: bool = True
    """False: somebody named the caller's key, and did not prove to hold it."""
    more: dict[str, Any] | None = None
    """Further members of additionalEventData."""
    at: float = 0.0
    """When it was answered; set when it is taken into the record."""
    last: float = 0.0
    count: int = 1


class EventDetail(msgspec.Struct, omit_defaults=True):
    """What an event's row keeps as JSON: everything that nobody searches by."""

    user_agent: str | None = None
    read_only: bool = False
    error_message: str | None = None
    request: msgspec.Raw = msgspec.Raw(b"null")
    response: msgspec.Raw = msgspec.Raw(b"null")
    decisions: list[str] = []
    """Ids, the first of them."""
    decided: int = 0
    """How many there were."""
    shared: bool = False
    """Another account has this event, too."""
    authenticated: bool = True
    more: dict[str, Any] = {}


def _verdict(error_code: str | None) -> str:
    if error_code is None:
        return "allowed"
    return "denied" if error_code in _DENIALS else "failed"


class Recorder:
    """Collects entries and events and writes them a moment later. `dropped` is called for each that is lost."""

    def __init__(self, store: AuditStore, clock: Clock, settings: Settings, dropped: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._dropped = dropped
        self._lost = 0
        self._said_at: float | None = None
        self._salt = secrets.token_bytes(16)
        self._parts = Parts()
        self._entries: dict[object, Entry] = {}
        self._events: dict[object, Event] = {}
        self._weight = 0
        self._something = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write; in the event loop that serves."""
        self._tasks = [asyncio.create_task(self._write_on()), asyncio.create_task(self._forget_on())]

    async def stop(self) -> None:
        """Write what waits, and end. The store stays open."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.flush()

    def record(self, entry: Entry) -> Entry:
        """Take a decision into the record. Returns the entry that stands for it: of equal allowed ones, the first."""
        decision = entry.decision
        request = decision.request
        key: object = id(entry)
        if decision.allowed:
            # Requests of a second that are alike share their context (`context.Contexts`).
            key = (id(entry.caller), id(entry.policies), id(request.context), request.action, request.resource)
            same = self._entries.get(key)
            if same is not None:
                same.count += 1
                same.last = entry.at
                return same
        if self._has_room(1):
            self._entries[key] = entry
            self._wake()
        return entry

    def note(self, event: Event) -> None:
        """Take a request's outcome into the record."""
        event.at = event.last = self._clock.now()
        key: object = id(event)
        if not event.authenticated or (event.read_only and event.error_code is None):
            connection = event.connection
            key = (
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
            same = self._events.get(key)
            if same is not None:
                same.count += 1
                same.last = event.at
                return
        if self._has_room(1 + (len(event.request) + len(event.response)) // _USUAL_BYTES):
            self._events[key] = event
            self._wake()

    def _has_room(self, weight: int) -> bool:
        if self._weight >= self._settings.audit_queue:
            self._lose(1)
            return False
        self._weight += weight
        return True

    def _wake(self) -> None:
        if not self._something.is_set():
            self._something.set()

    def _lose(self, number: int) -> None:
        """Count what is lost, and say so, at most once in a while."""
        for _ in range(number):
            self._dropped()
        self._lost += number
        now = asyncio.get_running_loop().time()
        if self._said_at is None or now - self._said_at >= _SAY_SECONDS:
            _log.error("audit records lost", lost=self._lost, queue=self._settings.audit_queue)
            self._said_at, self._lost = now, 0

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
            self._weight = 0
            await self._store.clear()

    async def flush(self) -> None:
        """Write what waits now. What cannot be written waits on, if there is room for it."""
        async with self._flushing:
            if not (self._entries or self._events):
                return
            entries, self._entries = self._entries, {}
            events, self._events = self._events, {}
            self._weight = 0
            batch = await asyncio.to_thread(self._batch, entries.values(), events.values())
            for _ in range(_ATTEMPTS):
                if await self._written(batch):
                    self._parts.written()
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            await self._write_singly(batch)

    async def _write_singly(self, batch: Batch) -> None:
        """Leave out the row that the database will not take; what is lost is counted and said."""
        singles = [batch._replace(decisions=[row], events=[]) for row in batch.decisions]
        singles += [batch._replace(decisions=[], events=[row]) for row in batch.events]
        lost = 0
        for number, single in enumerate(singles):
            if not await self._written(single):
                lost += 1
                if lost == number + 1 == _HOPELESS:
                    lost = len(singles)
                    break
        if lost:
            self._lose(lost)

    async def _written(self, batch: Batch) -> bool:
        try:
            await self._store.append(batch)
        except Exception as error:  # noqa: BLE001 - the record must not end with one bad write; the caller counts it
            _log.warning("audit record not written", records=len(batch.decisions) + len(batch.events), error=str(error))
            return False
        return True

    def _batch(self, entries: Iterable[Entry], events: Iterable[Event]) -> Batch:
        """The rows of what waited; in a thread, for there may be many."""
        day = int(self._clock.now() // DAY)
        self._parts.begin(day)
        decided: dict[str, DecisionRow] = {}
        for entry in entries:
            row = self._decision_row(entry)
            same = decided.get(row.id)
            if same is not None:
                row = msgspec.structs.replace(same, count=same.count + row.count, last=row.last)
            decided[row.id] = row
        told = [row for event in events for row in self._event_rows(event)]
        return Batch(list(decided.values()), told, self._parts.new, day)

    def _decision_row(self, entry: Entry) -> DecisionRow:
        decision, request = entry.decision, entry.decision.request
        caller, context = self._parts.caller(entry.caller), self._parts.context(request.context)
        policies = self._parts.policies(entry.policies)
        if not entry.id:
            hour = str(int(entry.at // _HOUR))
            says = (hour, caller, context, policies, entry.region, request.action, request.resource, decision.rule)
            # Salted, so that ids cannot be guessed and no two workers write one row.
            digits = blake2b("\n".join(says).encode(), digest_size=16, key=self._salt).hexdigest()
            entry.id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return DecisionRow(
            entry.id,
            entry.at,
            entry.last,
            entry.count,
            request.resource_account,
            entry.region,
            request.principal.arn,
            request.action,
            request.resource,
            decision.allowed,
            decision.rule,
            None if decision.allowed else policy.sentence(request, decision),
            caller,
            context,
            policies,
        )

    def _event_rows(self, event: Event) -> list[EventRow]:
        """One row for the account that called and one for the account that owns the resource."""
        own, decisions = event.caller.principal.account, event.connection.decisions
        account, resource = own, "*"
        if decisions:
            about = decisions[0].decision.request
            account, resource = about.resource_account, about.resource
        recipients = [each for each in dict.fromkeys((own, account)) if each]
        detail = EventDetail(
            user_agent=event.connection.user_agent,
            read_only=event.read_only,
            error_message=event.error_message,
            request=msgspec.Raw(event.request),
            response=msgspec.Raw(event.response),
            decisions=[each.id for each in decisions[:_DECISIONS_NAMED] if each.id],
            decided=len(decisions),
            shared=len(recipients) > 1,
            more=event.more or {},
            authenticated=event.authenticated,
        )
        row = EventRow(
            event.id or str(uuid.uuid4()),
            own,
            event.at,
            event.last,
            event.count,
            event.source,
            event.name,
            event.region,
            event.caller.principal.arn,
            resource,
            event.connection.source_ip[:64],
            _verdict(event.error_code),
            event.error_code,
            self._parts.caller(event.caller),
            msgspec.json.encode(detail).decode(),
        )
        return [row if each == own else msgspec.structs.replace(row, recipient=each) for each in recipients]

    async def _write_on(self) -> None:
        loop, pause = asyncio.get_running_loop(), FLUSH_SECONDS
        while True:
            await self._something.wait()
            await asyncio.sleep(pause)
            self._something.clear()
            began = loop.time()
            await self.flush()
            # The more there is to write, the less often: more of it is equal then, and requests wait less.
            pause = min(max(FLUSH_SECONDS, _REST * (loop.time() - began)), _LONGEST_PAUSE)

    async def _forget(self) -> None:
        """Delete in batches what is past its time, with a breath between them."""
        before = self._clock.now() - self._settings.audit_seconds
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
