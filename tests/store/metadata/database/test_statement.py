"""Statements compiled once give on both databases what Core gives."""

from typing import NamedTuple

import pytest
from sqlalchemy import bindparam, delete, func, insert, select, update

from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.statement import Change, Query, first_row, rows
from moorage.store.metadata.tables import outbox

COLUMNS = ("at", "account", "region", "kind", "payload")
ADD = Change(insert(outbox).values({name: bindparam(name) for name in COLUMNS}))
ADD_MARKED = Query(
    insert(outbox)
    .values(at=bindparam("at"), account="a", region="r", kind="marked", payload=bindparam("payload"))
    .returning(outbox.c.id, outbox.c.kind)
)
OF = Query(
    select(outbox.c.id, outbox.c.kind, outbox.c.at)
    .where(outbox.c.kind.in_(bindparam("kinds", expanding=True)), outbox.c.at > bindparam("after"))
    .order_by(outbox.c.id)
)
COUNT = Query(select(func.count().label("number")).select_from(outbox))
MOVE = Change(update(outbox).where(outbox.c.kind == bindparam("old")).values(kind=bindparam("kind")))
DROP = Change(delete(outbox).where(outbox.c.kind == bindparam("old")))


def event(kind: str, at: float) -> dict[str, object]:
    return {"at": at, "account": "1", "region": "r", "kind": kind, "payload": "{}"}


async def test_rows_have_names_and_lists_any_length(database: Database) -> None:
    await database.transaction(lambda conn: ADD.run_each(conn, [event(kind, at) for at, kind in enumerate("abcb")]))

    async def found(*kinds: str, after: float = -1.0) -> list[tuple[str, float]]:
        rows = await database.read(lambda conn: OF.all(conn, {"kinds": list(kinds), "after": after}))
        return [(row.kind, row.at) for row in rows]

    assert await found("a") == [("a", 0.0)]
    assert await found("b", "c", "nothing") == [("b", 1.0), ("c", 2.0), ("b", 3.0)]
    assert await found("b", after=1.0) == [("b", 3.0)]
    assert await found() == []
    first = await database.read(lambda conn: OF.first(conn, {"kinds": ["b"], "after": -1.0}))
    assert first is not None
    assert first.at == 1.0
    assert await database.read(lambda conn: OF.first(conn, {"kinds": ["z"], "after": -1.0})) is None


async def test_what_a_statement_fixes_itself_and_what_it_returns(database: Database) -> None:
    row = await database.transaction(lambda conn: ADD_MARKED.first(conn, {"at": 1.0, "payload": "{}"}))
    assert row is not None
    assert row.kind == "marked"
    assert row.id > 0


async def test_changes_tell_how_many_rows_they_concern(database: Database) -> None:
    await database.transaction(lambda conn: ADD.run_each(conn, [event(kind, 0.0) for kind in "aab"]))
    assert await database.transaction(lambda conn: MOVE.run(conn, {"old": "a", "kind": "z"})) == 2
    assert await database.transaction(lambda conn: MOVE.run(conn, {"old": "a", "kind": "z"})) == 0
    assert await database.transaction(lambda conn: DROP.run(conn, {"old": "z"})) == 2
    count = await database.read(lambda conn: COUNT.first(conn, {}))
    assert count is not None
    assert count.number == 1


async def test_a_value_that_is_not_given_is_an_error(database: Database) -> None:
    with pytest.raises(Exception, match="kind"):
        await database.transaction(lambda conn: MOVE.run(conn, {"old": "a"}))


class KindRow(NamedTuple):
    kind: str
    at: float


KINDS = select(outbox.c.kind, outbox.c.at).order_by(outbox.c.at)


async def test_rows_have_the_type_that_was_named(database: Database) -> None:
    await database.transaction(lambda conn: ADD.run_each(conn, [event(kind, at) for at, kind in enumerate("ab")]))
    typed, untyped = Query(KINDS, KindRow), Query(KINDS)
    expected = [KindRow("a", 0.0), KindRow("b", 1.0)]
    assert await database.read(lambda conn: typed.all(conn, {})) == expected
    assert await database.read(lambda conn: typed.first(conn, {})) == expected[0]
    assert isinstance(await database.read(lambda conn: typed.first(conn, {})), KindRow)
    assert [row.kind for row in await database.read(lambda conn: untyped.all(conn, {}))] == ["a", "b"]
    assert await database.read(lambda conn: rows(conn, KINDS, KindRow)) == expected
    one = KINDS.where(outbox.c.kind == "b")
    assert await database.read(lambda conn: first_row(conn, one, KindRow)) == expected[1]
    assert await database.read(lambda conn: first_row(conn, one.where(outbox.c.at > 1), KindRow)) is None


def test_a_row_type_that_does_not_fit_its_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="KindRow has the fields"):
        Query(select(outbox.c.at, outbox.c.kind), KindRow)
