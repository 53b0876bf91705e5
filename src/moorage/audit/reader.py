"""Who reads the audit record of an account, and what is told: its events in CloudTrail's shape, a page at a time."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from moorage import pages, policy
from moorage.access.context import clock
from moorage.audit import cloudtrail, shared_values
from moorage.audit.recorder import EventDetail, Recorder
from moorage.errors import InvalidParameter
from moorage.names import AccountId
from moorage.store.metadata.audit.audit import AuditStore, EventFilter, Position, Row

_AT_ONCE: Final = 20
"""Events whose decisions are read together; each may have a hundred."""
READ_AUDIT: Final = "moorage:ReadAudit"
MOST: Final = 500
"""Events in one page."""
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
"""Condition keys of a caller that are shown to the owner of a resource: who called, and from which organization."""


def audit_arn(account: AccountId) -> str:
    """What `moorage:ReadAudit` is decided on."""
    return f"arn:aws:moorage::{account}:audit"


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. Times in seconds since the epoch: `since` inclusive, `until` exclusive."""

    account: str | None = None
    """Default: the caller's own."""
    id: str | None = None
    """Of the request, as the client was told it."""
    principal: str | None = None
    """ARN; in this and the next ones `*` and `?` are wildcards."""
    action: str | None = None
    """`PutImage` or `ecr:PutImage`."""
    repository: str | None = None
    region: str | None = None
    source_ip: str | None = None
    verdict: str | None = None
    """`allowed`, `denied`, or `failed` (allowed, and then refused for another reason)."""
    error_code: str | None = None
    since: float | None = None
    until: float | None = None
    newest_first: bool = False
    limit: int = 100
    after: str | None = None
    """`position` of the page before."""


class Answer(msgspec.Struct, frozen=True):
    """A page of events. An empty one with `more` is no end: few of many events match."""

    events: list[msgspec.Raw]
    """Each as JSON."""
    position: str | None
    """Where the next page begins; also for events that are still to come, when `more` is false."""
    more: bool


class Events:
    """Reads the events of the audit record. Who may is decided by the door: `READ_AUDIT` on `audit_arn`."""

    def __init__(self, store: AuditStore, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder

    async def read(self, account: AccountId, query: Query) -> Answer:
        """A page of the account's events. InvalidParameter."""
        if not 1 <= query.limit <= MOST:
            raise InvalidParameter(f"limit is a number from 1 to {MOST}")
        wanted, after = _filter(query), _position(query.after)
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
        told = await self._told(page.rows)
        if len(told) < len(page.rows):
            last = page.rows[len(told) - 1]
            return Answer(told, _written((last["at"], last["id"])), more=True)
        return Answer(told, _written(page.position), page.more)

    async def _told(self, rows: Sequence[Row]) -> list[msgspec.Raw]:
        """The events as JSON, the first of them that fit in a page."""
        told: list[msgspec.Raw] = []
        size = 0
        for begin in range(0, len(rows), _AT_ONCE):
            some = rows[begin : begin + _AT_ONCE]
            details = [msgspec.json.decode(row["detail"], type=EventDetail) for row in some]
            decisions = await self._store.find_all({name for detail in details for name in detail.decisions})
            names = {row["caller"] for row in some} | {row["context"] for row in decisions.values()}
            texts = await self._store.parts(names)
            for each in await asyncio.to_thread(_encoded, some, details, decisions, texts, pages.PAGE_BYTES - size):
                size += len(each)
                if told and size > pages.PAGE_BYTES:
                    return told
                told.append(msgspec.Raw(each))
        return told


def _encoded(
    rows: Sequence[Row],
    details: Sequence[EventDetail],
    decisions: Mapping[str, Row],
    texts: Mapping[str, str],
    room: int,
) -> list[bytes]:
    """Events as JSON, the last of them the one for which there is no more room; in a thread, as they may be long."""
    callers = {name: shared_values.read_caller(texts[name]) for name in {row["caller"] for row in rows} & texts.keys()}
    told: list[bytes] = []
    for row, detail in zip(rows, details, strict=True):
        made = [_decision(decisions[name], texts, row["recipient"]) for name in detail.decisions if name in decisions]
        told.append(msgspec.json.encode(cloudtrail.event(row, detail, callers.get(row["caller"]), made)))
        room -= len(told[-1])
        if room < 0:
            break
    return told


def _decision(row: Row, texts: Mapping[str, str], recipient: str) -> dict[str, Any]:
    """A decision as an event shows it, with the condition-key values it was made on."""
    told = {
        "id": row["id"],
        "action": row["action"],
        "resource": row["resource"],
        "allowed": row["allowed"],
        "rule": row["rule"],
    }
    if row["context"] in texts:
        context = {**shared_values.read_context(texts[row["context"]]), **clock(int(row["at"]))}
        told["context"] = visible_context(
            context,
            is_owner=recipient == row["account"],
            is_caller=row["principal"].split(":", 5)[4:5] == [recipient],
        )
    return told


def visible_context(
    context: Mapping[str, str | tuple[str, ...]], *, is_owner: bool, is_caller: bool
) -> dict[str, str | tuple[str, ...]]:
    """What may be told of a request's condition keys: each account sees its own side and what both have to know.

    `is_owner`: the tags and organization of the resource are shown; `is_caller`: what the credential brought with it
    (session tags, claims, the name of a token) is.
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


def _filter(query: Query) -> EventFilter:
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


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    at, _, name = text.partition(" ")
    with contextlib.suppress(ValueError):
        return float(at), name
    raise InvalidParameter("after is not a position")


def _written(position: Position | None) -> str | None:
    return None if position is None else f"{position[0]!r} {position[1]}"
