"""Statements of the audit record: decisions and events written in batches, asked by id, by principal, by time.

Rows to be written have a class each; those that are read are dictionaries. On SQLite they are in a file of
their own.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, Select, Subquery, Table, delete, func, select, text, tuple_
from sqlalchemy.sql import ColumnElement

from moorage.settings import Settings
from moorage.store.metadata.audit.tables import (
    DecisionRow,
    EventRow,
    PartRow,
    audit_parts,
    decisions,
    events,
)
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_audit_database

R = TypeVar("R", PartRow, DecisionRow, EventRow)
Row: TypeAlias = dict[str, Any]
Position: TypeAlias = tuple[float, str]
"""Where a reader is in a record that is ordered by time: `at` and `id` of the last row it had."""

DAY = 86_400.0
_ASKED_AT_ONCE = 500
LOOKED_AT = 50_000
"""Events looked at for one page; when too few of them match, the page is short and the next one goes on there.
Decisions looked at for denials, likewise: older ones are not found."""
PAGE_BYTES = 1 << 20
"""Bytes of the details in one page; past them the page is short, too."""


class Batch(NamedTuple):
    """What is written together. `parts`: text by hash, with everything that the rows refer to and may not be there."""

    decisions: Sequence[DecisionRow]
    events: Sequence[EventRow]
    parts: Mapping[str, str]
    day: int
    """Since the epoch: when the parts were referred to."""


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A row of `tables.decisions` without its message: what a replay needs."""

    id: str
    at: float
    last: float
    count: int
    account: str
    region: str
    principal: str
    action: str
    resource: str
    allowed: bool
    rule: str
    caller: str
    context: str
    policies: str


class EventFilter(NamedTuple):
    """What an event must be; None: anything. `*` and `?` in a text are wildcards, then case does not matter."""

    id: str | None = None
    principal: str | None = None
    name: str | None = None
    source: str | None = None
    resource: str | None = None
    region: str | None = None
    source_ip: str | None = None
    verdict: str | None = None
    error_code: str | None = None


class Page(NamedTuple):
    """Some rows, where the reader now is, and whether there may be more."""

    rows: list[Row]
    position: Position | None
    more: bool


class _Write(Generic[R]):
    """INSERT of many rows into a table.

    The same text in SQLite's and PostgreSQL's SQL; Core's own insert converts every row first, ours need none. SQLite
    gets many rows in one statement: while it runs one, it does without Python's interpreter lock, which it would else
    give up and ask for again with every row, waiting each time for those who serve.
    """

    def __init__(self, table: Table, row: type[R], conflict: str) -> None:
        self._names = row.__struct_fields__
        self._head = f"INSERT INTO {table.name} ({', '.join(self._names)}) VALUES "  # noqa: S608 - our own names
        self._tail = f" ON CONFLICT {conflict}"
        self._texts: dict[int, str] = {}

    def run(self, conn: Connection, rows: Sequence[R]) -> None:
        driver = conn.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            if rows:
                names = ", ".join(f":{name}" for name in self._names)
                conn.execute(text(f"{self._head}({names}){self._tail}"), [msgspec.structs.asdict(row) for row in rows])
            return
        done = 0
        for count in _TOGETHER:
            while len(rows) - done >= count:
                driver.execute(self._text(count), list(chain.from_iterable(map(_values, rows[done : done + count]))))
                done += count

    def _text(self, count: int) -> str:
        known = self._texts.get(count)
        if known is None:
            row = f"({', '.join('?' * len(self._names))})"
            known = self._texts[count] = self._head + ", ".join([row] * count) + self._tail
        return known


_TOGETHER = (256, 64, 16, 4, 1)
"""Rows in one statement: as many as fit, of few different texts."""
_values = msgspec.structs.astuple
_ADD = " SET count = {0}.count + excluded.count, last = excluded.last"
_PARTS = _Write(
    audit_parts, PartRow, "(hash) DO UPDATE SET seen = excluded.seen WHERE audit_parts.seen < excluded.seen"
)
_DECISIONS = _Write(decisions, DecisionRow, "(id) DO UPDATE" + _ADD.format("decisions"))
# Failures of a minute have one id, and add up. The same row, written again since its writer was not told that it is
# there, has the same time.
_EVENTS = _Write(
    events, EventRow, "(id, recipient) DO UPDATE" + _ADD.format("events") + " WHERE events.at <> excluded.at"
)
_DECIDED = [decisions.c[name] for name in Decided.__struct_fields__]


class AuditStore:
    """The record over a database that `open_audit_database` made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, settings: Settings) -> "AuditStore":
        return cls(await open_audit_database(settings))

    async def append(self, batch: Batch) -> None:
        """Record a batch. It survives the process's death, perhaps not the machine's.

        A decision whose id is there adds its count and takes its `last`. So does an event, unless it has the time of
        the one that is there: then it is the same.
        """

        def work(conn: Connection) -> None:
            _PARTS.run(conn, [PartRow(name, batch.parts[name], batch.day) for name in sorted(batch.parts)])
            _DECISIONS.run(conn, batch.decisions)
            _EVENTS.run(conn, batch.events)

        await self._database.transaction(work, durable=False)

    async def find(self, id: str) -> Row | None:  # noqa: A002 - what it is
        """The decision `id`."""
        return await self._first(select(decisions).where(decisions.c.id == id))

    async def find_all(self, ids: Collection[str]) -> dict[str, Row]:
        """The decisions with those ids, by id; those that are not there are left out."""
        found: dict[str, Row] = {}
        for some in _some(ids):
            query = select(decisions).where(decisions.c.id.in_(some))
            for row in await self._all(query):
                found[row.id] = dict(row._mapping)
        return found

    async def last_denial(self, principal: str) -> Row | None:
        """The newest denial among the newest decisions (`LOOKED_AT`) of `principal` (ARN)."""
        mine = _newest(decisions.c.principal == principal)
        newest = select(decisions).join(mine, decisions.c.id == mine.c.id).where(mine.c.allowed.is_(False))
        return await self._first(newest.order_by(decisions.c.last.desc(), decisions.c.id).limit(1))

    async def event(self, id: str) -> Row | None:  # noqa: A002 - what it is
        """The event `id`, as any of its accounts has it."""
        return await self._first(select(events).where(events.c.id == id).limit(1))

    async def parts(self, names: Collection[str]) -> dict[str, str]:
        """The texts of the parts with those hashes; those that are no longer kept are left out."""
        found: dict[str, str] = {}
        for some in _some(names):
            query = select(audit_parts.c.hash, audit_parts.c.text).where(audit_parts.c.hash.in_(some))
            for row in await self._all(query):
                found[row.hash] = row.text
        return found

    async def decided(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
        after: Position | None = None,
        limit: int = 10_000,
    ) -> list[Decided]:
        """Decisions in order of (at, id), after that position. Give an account, a resource's or a principal's ARN.

        `since` is inclusive, `until` exclusive, both by when a decision was first made.
        """
        # The time of the position is asked for apart: an index on (…, at) then begins there, not at `since`.
        begin = since if after is None else max(since, after[0])
        there = _decided_where(account=account, resource=resource, principal=principal, since=begin, until=until)
        query = select(*_DECIDED).where(*there)
        if after is not None:
            query = query.where(tuple_(decisions.c.at, decisions.c.id) > after)
        query = query.order_by(decisions.c.at, decisions.c.id).limit(limit)
        return await self._database.read(lambda conn: [Decided(*row) for row in conn.execute(query)])

    async def count(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
    ) -> int:
        """How many rows `decided` would give in all."""
        there = _decided_where(account=account, resource=resource, principal=principal, since=since, until=until)
        query = select(func.count()).select_from(decisions).where(*there)
        return await self._database.read(lambda conn: int(conn.execute(query).scalar_one()))

    async def denied(
        self, *, resource: str | None = None, principal: str | None = None, since: float, limit: int
    ) -> list[Decided]:
        """The newest denials on a resource (ARN) or of a principal (ARN), newest first.

        Among the newest decisions on it or of it (`LOOKED_AT`).
        """
        column, value = (decisions.c.resource, resource) if resource is not None else (decisions.c.principal, principal)
        newest = _newest(column == value, decisions.c.at >= since)
        query = select(*_DECIDED).join(newest, decisions.c.id == newest.c.id).where(newest.c.allowed.is_(False))
        query = query.order_by(decisions.c.at.desc(), decisions.c.id).limit(limit)
        return await self._database.read(lambda conn: [Decided(*row) for row in conn.execute(query)])

    async def events(
        self,
        recipient: str,
        wanted: EventFilter,
        *,
        since: float | None = None,
        until: float | None = None,
        after: Position | None = None,
        newest_first: bool = False,
        limit: int = 100,
    ) -> Page:
        """A page of an account's events in order of time. `since` is inclusive, `until` exclusive."""
        place = tuple_(events.c.at, events.c.id)
        there: list[ColumnElement[bool]] = [events.c.recipient == recipient]
        if since is not None:
            there.append(events.c.at >= since)
        if until is not None:
            there.append(events.c.at < until)
        if after is not None:
            there.append(place < after if newest_first else place > after)
        order = (events.c.at.desc(), events.c.id.desc()) if newest_first else (events.c.at, events.c.id)
        far = select(events.c.at, events.c.id).where(*there).order_by(*order).offset(LOOKED_AT).limit(1)

        def work(conn: Connection) -> Page:
            found = conn.execute(far).first()
            boundary = None if found is None else (found[0], found[1])
            query = select(events).where(*there, *_matching(wanted))
            if boundary is not None:
                query = query.where(place >= boundary if newest_first else place <= boundary)
            rows: list[Row] = []
            size = 0
            for row in conn.execute(query.order_by(*order).limit(limit)).mappings():
                rows.append(dict(row))
                size += len(row["detail"])
                if size >= PAGE_BYTES:
                    break
            if len(rows) == limit or size >= PAGE_BYTES:
                return Page(rows, (rows[-1]["at"], rows[-1]["id"]), more=True)
            if boundary is not None:
                return Page(rows, boundary, more=True)
            return Page(rows, (rows[-1]["at"], rows[-1]["id"]) if rows else after, more=False)

        return await self._database.read(work)

    async def forget(self, before: float, *, limit: int = 10_000) -> int:
        """Delete up to `limit` decisions and as many events of before that time, oldest first; how many rows went.

        When none is left, as many of the parts that nothing has referred to since go.
        """

        def work(conn: Connection) -> int:
            gone = 0
            for table in (decisions, events):
                oldest = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(limit)
                gone += conn.execute(delete(table).where(table.c.id.in_(oldest), table.c.at < before)).rowcount
            if not gone:
                old = select(audit_parts.c.hash).where(audit_parts.c.seen < int(before // DAY) - 1).limit(limit)
                gone = conn.execute(delete(audit_parts).where(audit_parts.c.hash.in_(old))).rowcount
            return gone

        return await self._database.transaction(work, durable=False)

    async def clear(self) -> None:
        """Delete every decision and event (dev mode's reset). Parts stay: a worker may count on those it has seen."""

        def work(conn: Connection) -> None:
            conn.execute(delete(decisions))
            conn.execute(delete(events))

        await self._database.transaction(work, durable=False)

    async def close(self) -> None:
        await self._database.close()

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda conn: conn.execute(query).all())

    async def _first(self, query: Select[Any]) -> Row | None:
        def work(conn: Connection) -> Row | None:
            row = conn.execute(query).mappings().first()
            return None if row is None else dict(row)

        return await self._database.read(work)


def _some(names: Collection[str]) -> Iterator[list[str]]:
    """The names, as many at a time as one statement takes."""
    listed = sorted(names)
    for begin in range(0, len(listed), _ASKED_AT_ONCE):
        yield listed[begin : begin + _ASKED_AT_ONCE]


def _newest(*there: ColumnElement[bool]) -> Subquery:
    """The newest decisions that fulfill the conditions, which an index finds: their ids and verdicts."""
    query = select(decisions.c.id, decisions.c.allowed).where(*there)
    return query.order_by(decisions.c.at.desc()).limit(LOOKED_AT).subquery()


def _decided_where(
    *, account: str | None, resource: str | None, principal: str | None, since: float, until: float | None
) -> list[ColumnElement[bool]]:
    there: list[ColumnElement[bool]] = [decisions.c.at >= since]
    for column, value in (
        (decisions.c.account, account),
        (decisions.c.resource, resource),
        (decisions.c.principal, principal),
    ):
        if value is not None:
            there.append(column == value)
    if until is not None:
        there.append(decisions.c.at < until)
    return there


def _matching(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name, value in wanted._asdict().items():
        if value is None:
            continue
        column = events.c[name]
        if "*" in value or "?" in value:
            conditions.append(func.lower(column).like(_like(value.lower()), escape="\\"))
        else:
            conditions.append(column == value)
    return conditions


def _like(pattern: str) -> str:
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, "\\" + special)
    return pattern.replace("*", "%").replace("?", "_")
