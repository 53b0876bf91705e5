"""Reads the audit record of an account, a page of CloudTrail events at a time."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from moorage import pages, policy
from moorage.access.context import clock
from moorage.audit import cloudtrail, shared_values
from moorage.audit.cloudtrail_event import EventDecision, EventPage
from moorage.audit.event import EventDetail
from moorage.audit.recorder import Recorder
from moorage.errors import InvalidParameter
from moorage.names import AccountId
from moorage.store.metadata.audit.audit import AuditStore, EventFilter, Position
from moorage.store.metadata.audit.tables import DecisionRow, EventRow

_EVENTS_AT_ONCE: Final = 20
"""Events whose decisions are read together; an event may have a hundred."""
READ_AUDIT: Final = "moorage:ReadAudit"
MAX_EVENTS: Final = 500
"""Most events in one page."""
_KNOWN_TO_BOTH: Final = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principaltype",
        "aws:userid",
        "aws:viaawsservice",
    }
)
"""Condition keys of the caller that the owner of a resource sees: who called, and from which organization."""


def audit_arn(account: AccountId) -> str:
    """Return the ARN on which `moorage:ReadAudit` is decided."""
    return f"arn:aws:moorage::{account}:audit"


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events to return. Times are in seconds since the epoch: `since` is inclusive, `until` exclusive."""

    account: str | None = None
    """Default: the caller's own."""
    id: str | None = None
    """Id of the request, as it was returned to the client."""
    principal: str | None = None
    """ARN. Here and in the following members, `*` and `?` are wildcards."""
    action: str | None = None
    """`PutImage` or `ecr:PutImage`."""
    repository: str | None = None
    region: str | None = None
    source_ip: str | None = None
    verdict: str | None = None
    """`allowed`, `denied`, `failed` (allowed, but refused for another reason) or `omitted`."""
    error_code: str | None = None
    since: float | None = None
    until: float | None = None
    newest_first: bool = False
    limit: int = 100
    after: str | None = None
    """`position` of the previous page."""


class AuditReader:
    """Reads the events of the audit record. The caller must have authorized `READ_AUDIT` on `audit_arn`."""

    def __init__(self, store: AuditStore, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder

    async def read(self, account: AccountId, query: EventQuery) -> EventPage[msgspec.Raw]:
        """Return a page of the account's events, each as JSON. Raise InvalidParameter."""
        if not 1 <= query.limit <= MAX_EVENTS:
            raise InvalidParameter(f"limit is a number from 1 to {MAX_EVENTS}")
        wanted, after = _filter(query), _parse_position(query.after)
        await self._recorder.flush()
        page = await self._store.events(
            account,
            wanted,
            since=query.since,
            until=query.until,
            after=after,
            newest_first=query.newest_first,
            limit=query.limit,
        )
        events = await self._encoded(page.rows)
        if len(events) < len(page.rows):
            last = page.rows[len(events) - 1]
            return EventPage(events, _format_position((last.at, last.id)), more=True)
        return EventPage(events, _format_position(page.position), page.more)

    async def _encoded(self, rows: Sequence[EventRow]) -> list[msgspec.Raw]:
        """Return the events as JSON, as many of the first as fit in a page."""
        events: list[msgspec.Raw] = []
        size = 0
        for begin in range(0, len(rows), _EVENTS_AT_ONCE):
            some = rows[begin : begin + _EVENTS_AT_ONCE]
            details = [msgspec.json.decode(row.detail, type=EventDetail) for row in some]
            decisions = await self._store.find_all({name for detail in details for name in detail.decisions})
            hashes = {row.caller for row in some} | {row.context for row in decisions.values()}
            texts = await self._store.shared_values(hashes)
            room = pages.PAGE_BYTES - size
            for each in await asyncio.to_thread(_encode_events, some, details, decisions, texts, room):
                size += len(each)
                if events and size > pages.PAGE_BYTES:
                    return events
                events.append(msgspec.Raw(each))
        return events


def _encode_events(
    rows: Sequence[EventRow],
    details: Sequence[EventDetail],
    decisions: Mapping[str, DecisionRow],
    texts: Mapping[str, str],
    room: int,
) -> list[bytes]:
    """Return events as JSON until they exceed `room` bytes. Runs in a thread, because they may be long."""
    callers = {name: shared_values.read_caller(texts[name]) for name in {row.caller for row in rows} & texts.keys()}
    encoded: list[bytes] = []
    for row, detail in zip(rows, details, strict=True):
        found = [_decision(decisions[name], texts, row.recipient) for name in detail.decisions if name in decisions]
        encoded.append(msgspec.json.encode(cloudtrail.event(row, detail, callers.get(row.caller), found)))
        room -= len(encoded[-1])
        if room < 0:
            break
    return encoded


def _decision(row: DecisionRow, texts: Mapping[str, str], recipient: str) -> EventDecision:
    """Return a decision with the condition-key values it was made on, as far as the recipient may see them."""
    context = None
    if row.context in texts:
        context = visible_context(
            {**shared_values.read_context(texts[row.context]), **clock(int(row.at))},
            is_owner=recipient == row.account,
            is_caller=row.principal.split(":", 5)[4:5] == [recipient],
        )
    return EventDecision(
        id=row.id,
        action=row.action,
        resource=row.resource,
        allowed=row.allowed,
        rule=row.rule,
        context=UNSET if context is None else context,
    )


def visible_context(
    context: Mapping[str, str | tuple[str, ...]], *, is_owner: bool, is_caller: bool
) -> dict[str, str | tuple[str, ...]]:
    """Return the condition-key values of a request that an account may see.

    `is_owner`: whether it owns the resource, and so sees the resource's tags and organization. `is_caller`: whether the
    caller belongs to it, so that it sees what the credential brought (session tags, claims, the name of a token).
    """
    return {
        key: value
        for key, value in sorted(context.items())
        if (is_owner or not _is_of_resource(key)) and (is_caller or not _is_of_credential(key))
    }


def _is_of_resource(key: str) -> bool:
    return "resourcetag/" in key or key.startswith("aws:resourceorg")


def _is_of_credential(key: str) -> bool:
    return policy.source_of(key) == "credential" and key not in _KNOWN_TO_BOTH


def _filter(query: EventQuery) -> EventFilter:
    name, source = query.action, None
    if name is not None and ":" in name:
        service, _, name = name.partition(":")
        source = service if service == "moorage" else f"{service}.amazonaws.com"
    return EventFilter(
        id=query.id,
        principal=query.principal,
        name=name,
        source=source,
        resource=None if query.repository is None else f"arn:aws:ecr:*:repository/{query.repository}",
        region=query.region,
        source_ip=query.source_ip,
        verdict=query.verdict,
        error_code=query.error_code,
    )


def _parse_position(text: str | None) -> Position | None:
    if text is None:
        return None
    at, _, name = text.partition(" ")
    with contextlib.suppress(ValueError):
        return float(at), name
    raise InvalidParameter("after is not the position of a page")


def _format_position(position: Position | None) -> str | None:
    return None if position is None else f"{position[0]!r} {position[1]}"
