"""The audit record, on both databases."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from moorage.settings import Settings
from moorage.store.metadata import migrations
from moorage.store.metadata.audit import audit as statements
from moorage.store.metadata.audit.audit import DAY, AuditStore, Batch, EventFilter, EventRows
from moorage.store.metadata.audit.tables import DecisionRow, EventRow, SharedValueRow, shared_values
from moorage.store.metadata.audit.tables import decisions as decisions_table
from moorage.store.metadata.audit.tables import events as events_table
from moorage.store.metadata.database.sqlite_connection import connect, core_connection
from moorage.store.metadata.migrations import AUDIT

ANN = "arn:aws:iam::111111111111:user/ann"
APP = "arn:aws:ecr:us-east-1:111111111111:repository/app"


@pytest.fixture
async def audit(database_settings: Settings) -> AsyncIterator[AuditStore]:
    store = await AuditStore.open(database_settings)
    yield store
    await store.close()


def row(number: int, **given: Any) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "at": float(number),
        "last": float(number),
        "count": 1,
        "account": "111111111111",
        "region": "us-east-1",
        "principal": ANN,
        "action": "ecr:BatchGetImage",
        "resource": APP,
        "allowed": True,
        "rule": "identity",
        "message": None,
        "caller": "c" * 32,
        "context": "d" * 32,
        "policies": "e" * 32,
    } | given


def event(number: int, **given: Any) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "recipient": "111111111111",
        "at": float(number),
        "last": float(number),
        "count": 1,
        "source": "ecr.amazonaws.com",
        "name": "BatchGetImage",
        "region": "us-east-1",
        "principal": ANN,
        "resource": APP,
        "source_ip": "10.0.0.7",
        "verdict": "allowed",
        "error_code": None,
        "caller": "c" * 32,
        "detail": "{}",
    } | given


async def append(store: AuditStore, *decisions: Any, events: Any = (), parts: Any = None, day: int = 0) -> None:
    rows = [DecisionRow(**each) for each in decisions]
    await store.append(Batch(rows, [EventRow(**each) for each in events], parts or {}, day))


async def test_a_decision_is_found_whole_by_its_id(audit: AuditStore) -> None:
    wanted = row(1, allowed=False, message="no")
    await append(audit, row(0), wanted, row(2))
    assert await audit.find("id-1") == DecisionRow(**wanted)
    assert await audit.find("id-9") is None


def test_rows_have_every_column_of_their_table() -> None:
    for table, rows in (
        (shared_values, SharedValueRow),
        (decisions_table, DecisionRow),
        (events_table, EventRow),
    ):
        assert [column.name for column in table.columns] == list(rows.__struct_fields__)


async def test_no_rows_is_nothing_to_write(audit: AuditStore) -> None:
    await append(audit)
    assert await audit.decisions(account="111111111111", since=0) == []


async def test_a_decision_that_is_there_adds_up(audit: AuditStore) -> None:
    await append(audit, row(1, count=2))
    await append(audit, row(1, at=8.0, last=9.0, count=5))
    found = await audit.find("id-1")
    assert found is not None
    assert (found.count, found.at, found.last) == (7, 1.0, 9.0)


async def test_the_last_denial_of_a_principal(audit: AuditStore) -> None:
    await append(
        audit, row(1, allowed=False), row(2, allowed=False), row(3, allowed=False, principal="anonymous"), row(4)
    )
    last = await audit.last_denial(ANN)
    assert last is not None
    assert last.id == "id-2"
    assert await audit.last_denial("arn:aws:iam::111111111111:user/bob") is None


async def test_decisions_are_paged_in_order_of_time(audit: AuditStore) -> None:
    await append(audit, *(row(number, at=float(number // 3)) for number in range(10)))
    await append(audit, row(20, resource="*"), row(21, principal="anonymous"), row(22, account="222222222222"))

    async def ids(**given: Any) -> list[str]:
        seen: list[str] = []
        after = None
        while found := await audit.decisions(**{"since": 0.0, **given}, after=after, limit=2):
            seen += [each.id for each in found]
            after = (found[-1].at, found[-1].id)
        return seen

    assert await ids(principal=ANN, resource=APP, account="111111111111") == [f"id-{number}" for number in range(10)]
    assert await ids(resource=APP, since=1.0, until=2.0) == ["id-3", "id-4", "id-5"]
    assert await ids(account="222222222222") == ["id-22"]
    assert await ids(principal="anonymous") == ["id-21"]


async def test_parts_are_kept_once_and_told_by_their_hash(audit: AuditStore) -> None:
    await append(audit, parts={"a": "A", "b": "B"}, day=1)
    await append(audit, parts={"b": "B", "c": "C"}, day=2)
    assert await audit.shared_values(["a", "b", "c", "d"]) == {"a": "A", "b": "B", "c": "C"}


async def test_parts_go_when_nothing_has_referred_to_them_for_the_time_of_keeping(audit: AuditStore) -> None:
    await append(audit, parts={"old": "1", "renewed": "2"}, day=1)
    await append(audit, parts={"renewed": "2"}, day=9)
    await append(audit, parts={"renewed": "2"}, day=5)  # of a worker whose clock is late
    assert await audit.delete_older(8 * DAY) == 1
    assert await audit.delete_older(8 * DAY) == 0
    assert await audit.shared_values(["old", "renewed"]) == {"renewed": "2"}


async def listed(audit: AuditStore, wanted: EventFilter = EventFilter(), **given: Any) -> list[str]:  # noqa: B008
    """Every event's number, page after page."""
    seen: list[str] = []
    after = None
    for _ in range(100):
        page: EventRows = await audit.events("111111111111", wanted, after=after, limit=given.pop("limit", 3), **given)
        seen += [each.id.removeprefix("id-") for each in page.rows]
        after = page.position
        if not page.more:
            break
    return seen


async def test_events_are_paged_from_either_end(audit: AuditStore) -> None:
    await append(audit, events=[event(number, at=float(number // 2)) for number in range(8)])
    await append(audit, events=[event(9, recipient="222222222222")])
    assert await listed(audit) == list("01234567")
    assert await listed(audit, newest_first=True) == list("76543210")
    assert await listed(audit, since=1.0, until=3.0) == list("2345")


async def test_a_page_looks_at_so_many_events_and_no_more(audit: AuditStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LOOKED_AT", 4)
    await append(audit, events=[event(number, name="PutImage" if number == 9 else "X") for number in range(12)])
    first = await audit.events("111111111111", EventFilter(name="PutImage"))
    assert (first.rows, first.more) == ([], True)
    assert await listed(audit, EventFilter(name="PutImage")) == ["9"]
    assert await listed(audit, EventFilter(name="PutImage"), newest_first=True) == ["9"]
    assert await listed(audit, limit=100) == [str(number) for number in range(12)]


async def test_events_are_filtered(audit: AuditStore) -> None:
    await append(
        audit,
        events=[
            event(0),
            event(1, principal="arn:aws:iam::111111111111:user/100%_sure", name="PutImage"),
            event(2, resource="arn:aws:ecr:us-east-1:111111111111:repository/web/app", source="sts.amazonaws.com"),
            event(3, verdict="denied", error_code="AccessDeniedException", source_ip="10.0.0.8"),
        ],
    )
    assert await listed(audit, EventFilter(name="putimage*")) == ["1"]
    assert await listed(audit, EventFilter(principal="*%_*")) == ["1"]
    assert await listed(audit, EventFilter(principal=ANN, resource="*:repository/app")) == ["0", "3"]
    assert await listed(audit, EventFilter(source="sts.amazonaws.com")) == ["2"]
    assert await listed(audit, EventFilter(verdict="denied", error_code="AccessDenied*", source_ip="10.0.0.?")) == ["3"]
    assert await listed(audit, EventFilter(id="id-2")) == ["2"]
    assert await listed(audit, EventFilter(region="eu-west-1")) == []


async def test_an_event_is_written_once_for_each_account(audit: AuditStore) -> None:
    await append(audit, events=[event(1), event(1, recipient="222222222222")])
    await append(audit, events=[event(1, name="Other")])
    found = await audit.event("id-1")
    assert found is not None
    assert found.name == "BatchGetImage"
    assert await audit.event("id-2") is None


async def test_forget_deletes_the_oldest_up_to_its_limit(audit: AuditStore) -> None:
    await append(audit, *(row(number) for number in range(10)), events=[event(number) for number in range(10)])
    assert await audit.delete_older(6.0, limit=4) == 8
    assert [each.id for each in await audit.decisions(account="111111111111", since=0.0)] == [
        f"id-{number}" for number in range(4, 10)
    ]
    assert await audit.delete_older(6.0) == 4
    assert await audit.delete_older(6.0) == 0
    assert await listed(audit) == list("6789")


async def test_clear_leaves_nothing(audit: AuditStore) -> None:
    await append(audit, row(1), events=[event(1)])
    await audit.clear()
    assert await audit.find("id-1") is None
    assert await audit.event("id-1") is None


def test_decisions_of_the_first_release_are_kept(tmp_path: Path) -> None:
    raw = connect(tmp_path / "audit.db")
    conn = core_connection(raw)
    _upgrade(conn, "audit0001")
    old = {
        "id": "the-id",
        "at": 5 * DAY + 1,
        "count": 3,
        "account": "111111111111",
        "region": "us-east-1",
        "principal": ANN,
        "principal_account": "111111111111",
        "principal_id": "AIDAX",
        "action": "ecr:PutImage",
        "resource": APP,
        "allowed": False,
        "rule": "5c-no-identity-grant",
        "message": "no",
        "context": json.dumps(
            {"aws:principaltype": "User", "aws:username": "ann", "aws:tagkeys": ["a"], "aws:epochtime": "432001"}
        ),
        "policies": json.dumps({"identity": [{"name": "p", "hash": "h"}]}),
    }
    names = ", ".join(old)
    insert = f"INSERT INTO decisions ({names}) VALUES ({', '.join(f':{name}' for name in old)})"
    conn.execute(text(insert), [old, {**old, "id": "another"}])
    _upgrade(conn, "head")
    raw.row_factory = sqlite3.Row
    new = dict(raw.execute("SELECT * FROM decisions WHERE id = 'the-id'").fetchone())
    parts = {each["hash"]: each for each in raw.execute("SELECT * FROM audit_parts").fetchall()}
    assert len(parts) == 3
    assert {each["seen"] for each in parts.values()} == {5}
    assert (new["last"], new["count"], new["message"]) == (old["at"], 3, "no")
    caller = json.loads(parts[new["caller"]]["text"])
    assert caller["principal"]["id"] == "AIDAX"
    assert caller["principal"]["kind"] == "user"
    assert json.loads(parts[new["context"]]["text"]) == {
        "aws:principaltype": "User",
        "aws:username": "ann",
        "aws:tagkeys": ["a"],
    }
    assert json.loads(parts[new["policies"]]["text"]) == {"identity": [{"name": "p", "hash": "h", "kind": "identity"}]}
    conn.close()
    raw.close()


def _upgrade(conn: Connection, revision: str) -> None:
    here = Path(migrations.__file__).parent
    config = Config()
    config.set_main_option("script_location", str(here))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(here / AUDIT.folder))
    config.attributes.update(connection=conn, history=AUDIT)
    command.upgrade(config, revision)


async def test_a_page_of_events_is_bounded_in_bytes(audit: AuditStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "PAGE_BYTES", 1000)
    await append(audit, events=[event(number, detail=json.dumps({"error_message": "x" * 300})) for number in range(10)])
    page = await audit.events("111111111111", EventFilter())
    assert (len(page.rows), page.more) == (4, True)
    assert await listed(audit, limit=10) == [str(number) for number in range(10)]


async def test_denials_are_looked_for_among_so_many_decisions_and_no_more(
    audit: AuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "LOOKED_AT", 5)
    await append(audit, row(0, allowed=False), *(row(number) for number in range(1, 5)))
    last = await audit.last_denial(ANN)
    assert last is not None
    assert last.id == "id-0"
    assert [each.id for each in await audit.denials(resource=APP, since=0.0, limit=10)] == ["id-0"]
    await append(audit, row(5))
    assert await audit.last_denial(ANN) is None
    assert await audit.denials(principal=ANN, since=0.0, limit=10) == []


async def test_an_event_whose_id_is_there_adds_up_unless_it_is_the_same(audit: AuditStore) -> None:
    await append(audit, events=[event(1, count=2)])
    await append(audit, events=[event(1, count=2)])
    await append(audit, events=[event(1, at=9.0, last=9.0, count=5)])
    (found,) = (await audit.events("111111111111", EventFilter())).rows
    assert (found.count, found.at, found.last) == (7, 1.0, 9.0)
