"""Statements of the audit record: write decisions and events in batches; read them by id, principal, resource, time."""

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
    SharedValueRow,
    decisions,
    events,
    shared_values,
)
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_audit_database

R = TypeVar("R", SharedValueRow, DecisionRow, EventRow)
Position: TypeAlias = tuple[float, str]
"""A position in rows that are ordered by time: `at` and `id` of the last row that was read."""

DAY = 86_400.0
_IDS_PER_QUERY = 500
LOOKED_AT = 50_000
"""Most events that are examined for one page. If too few of them match, the page is short and the next one continues
there. Also the most decisions that are examined for denials; older denials are not found."""
PAGE_BYTES = 1 << 20
"""Most bytes of the details in one page, which ends there."""


class Batch(NamedTuple):
    """Rows that are written in one transaction."""

    decisions: Sequence[DecisionRow]
    events: Sequence[EventRow]
    shared_values: Mapping[str, str]
    """Text by hash: every shared value that the rows refer to and that may not be stored yet."""
    day: int
    """The day, counted from the epoch, on which the rows refer to the shared values."""


class DecisionSummary(msgspec.Struct, frozen=True, gc=False):
    """A row of `tables.decisions` without its message, as a replay needs it."""

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
    """The values that an event must have; None matches any.

    `*` and `?` are wildcards; a value that contains one is compared without regard to case.
    """

    id: str | None = None
    principal: str | None = None
    name: str | None = None
    source: str | None = None
    resource: str | None = None
    region: str | None = None
    source_ip: str | None = None
    verdict: str | None = None
    error_code: str | None = None


class EventRows(NamedTuple):
    """A page of events."""

    rows: list[EventRow]
    position: Position | None
    """Where the next page begins."""
    more: bool
    """Whether there may be more rows behind that position."""


class _Write(Generic[R]):
    """INSERT of many rows into a table, in SQL that SQLite and PostgreSQL both accept.

    It does not use Core's insert, which converts every row first; these rows need no conversion. SQLite gets many rows
    in one statement: it releases Python's interpreter lock while a statement runs, and with a statement a row it would
    wait for the lock, behind requests that are served, as often as there are rows.
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
"""Numbers of rows in one statement. There are few, so that there are few statements to prepare."""
_values = msgspec.structs.astuple
_ADD = " SET count = {0}.count + excluded.count, last = excluded.last"
_SHARED_VALUES = _Write(
    shared_values,
    SharedValueRow,
    "(hash) DO UPDATE SET seen = excluded.seen WHERE audit_parts.seen < excluded.seen",
)
_DECISIONS = _Write(decisions, DecisionRow, "(id) DO UPDATE" + _ADD.format("decisions"))
# Equal failures of a minute have one id and are added up. A row that is written again, because its writer did not learn
# that it had been written, has the same time and is not added.
_EVENTS = _Write(
    events, EventRow, "(id, recipient) DO UPDATE" + _ADD.format("events") + " WHERE events.at <> excluded.at"
)
_SUMMARY_COLUMNS = [decisions.c[name] for name in DecisionSummary.__struct_fields__]


class AuditStore:
    """The audit record in a database that `open_audit_database` opened."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, settings: Settings) -> "AuditStore":
        return cls(await open_audit_database(settings))

    async def append(self, batch: Batch) -> None:
        """Write a batch. It survives the death of the process, but not necessarily that of the machine.

        A decision or event whose id is stored already adds its count to that row and replaces its `last`. An event that
        also has the same time is the same event, and changes nothing.
        """

        def work(conn: Connection) -> None:
            values = batch.shared_values
            _SHARED_VALUES.run(conn, [SharedValueRow(name, values[name], batch.day) for name in sorted(values)])
            _DECISIONS.run(conn, batch.decisions)
            _EVENTS.run(conn, batch.events)

        await self._database.transaction(work, durable=False)

    async def find(self, decision_id: str) -> DecisionRow | None:
        """Return the decision with that id."""
        return await self._decision(select(decisions).where(decisions.c.id == decision_id))

    async def find_all(self, ids: Collection[str]) -> dict[str, DecisionRow]:
        """Return the decisions with those ids, by id. Ids that are not stored are left out."""
        found: dict[str, DecisionRow] = {}
        for some in _some(ids):
            query = select(decisions).where(decisions.c.id.in_(some))
            for row in await self._all(query):
                found[row.id] = DecisionRow(*row)
        return found

    async def last_denial(self, principal: str) -> DecisionRow | None:
        """Return the newest denial among the newest LOOKED_AT decisions of `principal`, an ARN."""
        mine = _newest(decisions.c.principal == principal)
        newest = select(decisions).join(mine, decisions.c.id == mine.c.id).where(mine.c.allowed.is_(False))
        return await self._decision(newest.order_by(decisions.c.last.desc(), decisions.c.id).limit(1))

    async def event(self, event_id: str) -> EventRow | None:
        """Return the event with that id, from the record of any of its accounts."""
        query = select(events).where(events.c.id == event_id).limit(1)

        def work(conn: Connection) -> EventRow | None:
            row = conn.execute(query).first()
            return None if row is None else EventRow(*row)

        return await self._database.read(work)

    async def shared_values(self, hashes: Collection[str]) -> dict[str, str]:
        """Return the texts of the shared values with those hashes. Values that are no longer stored are left out."""
        found: dict[str, str] = {}
        for some in _some(hashes):
            query = select(shared_values.c.hash, shared_values.c.text).where(shared_values.c.hash.in_(some))
            for row in await self._all(query):
                found[row.hash] = row.text
        return found

    async def decisions(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
        after: Position | None = None,
        limit: int = 10_000,
    ) -> list[DecisionSummary]:
        """Return decisions in order of (at, id), behind the position `after`.

        At least one of `account`, `resource` (ARN) and `principal` (ARN) must be given. `since` is inclusive, `until`
        exclusive; both refer to when a decision was first made.
        """
        # The time of the position is a condition of its own, so that the index on (…, at) is entered there and not at
        # `since`.
        begin = since if after is None else max(since, after[0])
        conditions = _where(account=account, resource=resource, principal=principal, since=begin, until=until)
        query = select(*_SUMMARY_COLUMNS).where(*conditions)
        if after is not None:
            query = query.where(tuple_(decisions.c.at, decisions.c.id) > after)
        query = query.order_by(decisions.c.at, decisions.c.id).limit(limit)
        return await self._database.read(lambda conn: [DecisionSummary(*row) for row in conn.execute(query)])

    async def count(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
    ) -> int:
        """Return the number of all rows that `decisions` would return."""
        conditions = _where(account=account, resource=resource, principal=principal, since=since, until=until)
        query = select(func.count()).select_from(decisions).where(*conditions)
        return await self._database.read(lambda conn: int(conn.execute(query).scalar_one()))

    async def denials(
        self, *, resource: str | None = None, principal: str | None = None, since: float, limit: int
    ) -> list[DecisionSummary]:
        """Return the newest denials on `resource` (ARN) or of `principal` (ARN), newest first.

        They are searched for among the newest LOOKED_AT decisions on that resource or of that principal.
        """
        column, value = (decisions.c.resource, resource) if resource is not None else (decisions.c.principal, principal)
        newest = _newest(column == value, decisions.c.at >= since)
        query = select(*_SUMMARY_COLUMNS).join(newest, decisions.c.id == newest.c.id).where(newest.c.allowed.is_(False))
        query = query.order_by(decisions.c.at.desc(), decisions.c.id).limit(limit)
        return await self._database.read(lambda conn: [DecisionSummary(*row) for row in conn.execute(query)])

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
    ) -> EventRows:
        """Return a page of an account's events in order of time. `since` is inclusive, `until` exclusive."""
        place = tuple_(events.c.at, events.c.id)
        range_: list[ColumnElement[bool]] = [events.c.recipient == recipient]
        if since is not None:
            range_.append(events.c.at >= since)
        if until is not None:
            range_.append(events.c.at < until)
        if after is not None:
            range_.append(place < after if newest_first else place > after)
        order = (events.c.at.desc(), events.c.id.desc()) if newest_first else (events.c.at, events.c.id)
        last_examined = select(events.c.at, events.c.id).where(*range_).order_by(*order).offset(LOOKED_AT).limit(1)

        def work(conn: Connection) -> EventRows:
            found = conn.execute(last_examined).first()
            boundary = None if found is None else (found[0], found[1])
            query = select(events).where(*range_, *_matching(wanted))
            if boundary is not None:
                query = query.where(place >= boundary if newest_first else place <= boundary)
            rows: list[EventRow] = []
            size = 0
            for values in conn.execute(query.order_by(*order).limit(limit)):
                row = EventRow(*values)
                rows.append(row)
                size += len(row.detail)
                if size >= PAGE_BYTES:
                    break
            if len(rows) == limit or size >= PAGE_BYTES:
                return EventRows(rows, (rows[-1].at, rows[-1].id), more=True)
            if boundary is not None:
                return EventRows(rows, boundary, more=True)
            return EventRows(rows, (rows[-1].at, rows[-1].id) if rows else after, more=False)

        return await self._database.read(work)

    async def delete_older(self, before: float, *, limit: int = 10_000) -> int:
        """Delete up to `limit` decisions and up to `limit` events that are older than `before`, oldest first.

        When none is left, delete up to `limit` shared values that no row has referred to since. Return the number of
        deleted rows.
        """

        def work(conn: Connection) -> int:
            deleted = 0
            for table in (decisions, events):
                oldest = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(limit)
                deleted += conn.execute(delete(table).where(table.c.id.in_(oldest), table.c.at < before)).rowcount
            if not deleted:
                old = select(shared_values.c.hash).where(shared_values.c.seen < int(before // DAY) - 1).limit(limit)
                deleted = conn.execute(delete(shared_values).where(shared_values.c.hash.in_(old))).rowcount
            return deleted

        return await self._database.transaction(work, durable=False)

    async def clear(self) -> None:
        """Delete every decision and event (dev mode's reset).

        Shared values stay, because a worker does not write those again that it has written today.
        """

        def work(conn: Connection) -> None:
            conn.execute(delete(decisions))
            conn.execute(delete(events))

        await self._database.transaction(work, durable=False)

    async def close(self) -> None:
        await self._database.close()

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda conn: conn.execute(query).all())

    async def _decision(self, query: Select[Any]) -> DecisionRow | None:
        def work(conn: Connection) -> DecisionRow | None:
            row = conn.execute(query).first()
            return None if row is None else DecisionRow(*row)

        return await self._database.read(work)


def _some(names: Collection[str]) -> Iterator[list[str]]:
    """Split the names into lists that fit one statement."""
    listed = sorted(names)
    for begin in range(0, len(listed), _IDS_PER_QUERY):
        yield listed[begin : begin + _IDS_PER_QUERY]


def _newest(*conditions: ColumnElement[bool]) -> Subquery:
    """Return ids and verdicts of the newest decisions that meet the conditions, which an index must cover."""
    query = select(decisions.c.id, decisions.c.allowed).where(*conditions)
    return query.order_by(decisions.c.at.desc()).limit(LOOKED_AT).subquery()


def _where(
    *, account: str | None, resource: str | None, principal: str | None, since: float, until: float | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [decisions.c.at >= since]
    for column, value in (
        (decisions.c.account, account),
        (decisions.c.resource, resource),
        (decisions.c.principal, principal),
    ):
        if value is not None:
            conditions.append(column == value)
    if until is not None:
        conditions.append(decisions.c.at < until)
    return conditions


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
