"""The record of decisions: off the hot path, in batches, never lost without being counted.

Denials stand for themselves. Equal allowed decisions (same caller, action, resource, policies and connection) that fall
into one batch become one row with their count.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from moorage import policy
from moorage.clock import Clock
from moorage.names import Region
from moorage.settings import Settings
from moorage.store.metadata.audit import AuditStore

FLUSH_SECONDS = 0.05
_FORGET_SECONDS = 3600.0
_log = structlog.get_logger()


class Entry(msgspec.Struct, gc=False):
    """A decision on its way to the record."""

    id: str
    at: float
    region: Region
    decision: policy.Decision
    policies: policy.Policies
    count: int = 1

    def row(self) -> dict[str, Any]:
        """As `tables.decisions` keeps it."""
        decision, request = self.decision, self.decision.request
        sets = {
            name: [{"name": each.name, "hash": each.hash} for each in named]
            for name, named in (("identity", self.policies.identity), ("resource", self.policies.resource))
            if named is not None
        }
        return {
            "id": self.id,
            "at": self.at,
            "count": self.count,
            "account": request.resource_account,
            "region": self.region,
            "principal": request.principal.arn,
            "principal_account": request.principal.account or None,
            "principal_id": request.principal.id,
            "action": request.action,
            "resource": request.resource,
            "allowed": decision.allowed,
            "rule": decision.rule,
            "message": None if decision.allowed else policy.sentence(request, decision),
            "context": msgspec.json.encode(request.context).decode(),
            "policies": msgspec.json.encode(sets).decode(),
        }


class Recorder:
    """Collects entries and writes them a moment later. `dropped` is called for each that found the queue full."""

    def __init__(self, store: AuditStore, clock: Clock, settings: Settings, dropped: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._dropped = dropped
        self._waiting: dict[object, Entry] = {}
        self._writing: dict[object, Entry] = {}
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write; in the event loop that serves."""
        self._tasks = [asyncio.create_task(self._write_on()), asyncio.create_task(self._forget_on())]

    async def stop(self) -> None:
        """Write what waits, and end."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._flush()
        await self._store.close()

    def record(self, entry: Entry) -> None:
        """Take a decision into the record."""
        request = entry.decision.request
        key: object = entry.id
        if entry.decision.allowed:
            context = request.context
            key = (
                request.principal.id,
                request.action,
                request.resource,
                id(entry.policies),
                context.get("aws:sourceip"),
                context.get("aws:useragent"),
            )
            same = self._waiting.get(key)
            if same is not None:
                same.count += 1
                return
        if len(self._waiting) >= self._settings.audit_queue:
            self._dropped()
            return
        self._waiting[key] = entry
        if not self._something.is_set():
            self._something.set()

    async def find(self, decision_id: str) -> dict[str, Any] | None:
        """The recorded decision of that id, also when it is not written yet."""
        for entries in (self._waiting, self._writing):
            for entry in entries.values():
                if entry.id == decision_id:
                    return entry.row()
        return await self._store.find(decision_id)

    async def last_denial(self, principal: str) -> dict[str, Any] | None:
        """The newest denial of the principal with that ARN."""
        await self._flush()
        return await self._store.last_denial(principal)

    async def clear(self) -> None:
        """Forget everything (dev mode's reset)."""
        self._waiting.clear()
        await self._store.clear()

    async def _write_on(self) -> None:
        while True:
            await self._something.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            self._something.clear()
            await self._flush()

    async def _flush(self) -> None:
        if not self._waiting:
            return
        entries, self._waiting = self._waiting, {}
        self._writing = entries
        try:
            await self._store.append([entry.row() for entry in entries.values()])
        except Exception:  # noqa: BLE001 - the record must not end with one bad write: what is lost is counted and said
            _log.exception("audit record not written", decisions=len(entries))
            for _ in entries:
                self._dropped()
        finally:
            if self._writing is entries:
                self._writing = {}

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
