"""The recorder: what is written of decisions and events, how equal ones add up, what happens when that fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.recording import DecisionEntry
from moorage.audit.event import AuditEvent
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.identity.credentials.credentials import PolicySets
from moorage.names import Region
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import AuditStore, Batch, EventFilter

ACCOUNT = "111111111111"
ANN = policy.Principal("user", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAX", user_name="ann")
CALLER = Caller(ANN, "key", "AKIAX", PolicySets(), {"aws:userid": "AIDAX"})
APP = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
POLICIES = policy.Policies(
    identity=(
        policy.Named(
            "all",
            "h1",
            policy.parse('{"Statement":{"Effect":"Allow","Action":"ecr:Batch*","Resource":"*"}}', policy.Kind.IDENTITY),
        ),
    ),
    scp=(
        (
            policy.Named(
                "root",
                "h2",
                policy.parse('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}', policy.Kind.SCP),
            ),
        ),
    ),
)


@pytest.fixture
async def store(database_settings: Settings) -> AsyncIterator[AuditStore]:
    opened = await AuditStore.open(database_settings)
    yield opened
    await opened.close()


def recorder_over(store: AuditStore, dropped: list[int] | None = None, **settings: Any) -> Recorder:
    count = dropped if dropped is not None else []
    return Recorder(store, Clock(), Settings(**settings), lambda _kind, number: count.extend([1] * number))


@lru_cache
def context_of(second: int, *more: tuple[str, Any]) -> dict[str, Any]:
    """One for all requests of a second that are alike, as the server has them."""
    return {"aws:userid": "AIDAX", "aws:epochtime": str(second), "aws:sourceip": "10.0.0.7", **dict(more)}


def decided(action: str = "ecr:BatchGetImage", at: float = 1000.0, **more: Any) -> DecisionEntry:
    values = context_of(int(at), *more.items())
    decision = policy.evaluate(policy.Request(ANN, action, APP, ACCOUNT, values), POLICIES)
    told = "" if decision.allowed else f"denial-{action}"
    return DecisionEntry(told, at, at, Region("us-east-1"), decision, POLICIES, CALLER)


def from_ip(number: int) -> dict[str, Any]:
    return {"aws:sourceip": f"10.0.{number}"}


CONNECTION = Connection("10.0.0.7", False, "docker/1", None, "localhost", Region("us-east-1"))


def event(*decisions: DecisionEntry, **given: Any) -> AuditEvent:
    return AuditEvent(
        **{
            "source": "ecr.amazonaws.com",
            "name": "BatchGetImage",
            "region": Region("us-east-1"),
            "caller": CALLER,
            "connection": msgspec.structs.replace(CONNECTION, decisions=list(decisions)),
            "read_only": True,
            "request": b'{"repositoryName":"app"}',
            **given,
        }
    )


async def rows(store: AuditStore) -> list[Any]:
    return await store.decisions(account=ACCOUNT, since=0.0)


async def events(store: AuditStore) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(row) for row in (await store.events(ACCOUNT, EventFilter())).rows]


async def test_equal_allowed_decisions_are_one_with_their_count_and_first_and_last_time(store: AuditStore) -> None:
    recorder = recorder_over(store)
    first = recorder.record(decided(at=1000.1))
    assert recorder.record(decided(at=1000.7)) is first
    recorder.record(decided(at=1003.0))  # another second of the same hour
    await recorder.flush()
    recorder.record(decided(at=1200.0))
    await recorder.flush()
    (row,) = await rows(store)
    assert (row.count, row.at, row.last) == (4, 1000.1, 1200.0)
    assert row.id == first.id != ""


@pytest.mark.parametrize(
    "other",
    [
        {"at": 5000.0},  # another hour
        {"aws:sourceip": "10.0.0.8"},
        {"aws:resourcetag/team": "red"},
        {"aws:tagkeys": ("a", "b")},
        {"action": "ecr:BatchDeleteImage"},
    ],
)
async def test_what_differs_in_anything_but_the_clock_stays_apart(store: AuditStore, other: dict[str, Any]) -> None:
    recorder = recorder_over(store)
    recorder.record(decided())
    recorder.record(decided(**other))
    await recorder.flush()
    assert [row.count for row in await rows(store)] == [1, 1]


async def test_equal_decisions_on_contexts_that_are_not_shared_are_one_row(store: AuditStore) -> None:
    recorder = recorder_over(store)
    recorder.record(decided())
    context_of.cache_clear()
    recorder.record(decided())
    await recorder.flush()
    assert [row.count for row in await rows(store)] == [2]


async def test_decisions_made_in_turn_meet_their_like(store: AuditStore) -> None:
    """Across the turn of a second and from two clients: as many wait as differ, however many are made."""
    recorder = recorder_over(store)
    told = [
        recorder.record(decided(at=at, **from_ip(number)))
        for at in (1000.2, 1000.9, 1001.1, 1001.5)
        for number in (1, 2, 1, 2)
    ]
    assert len({id(each) for each in told}) == 4
    assert sum({id(each): each.count for each in told}.values()) == 16


async def test_equal_denials_of_a_minute_are_one_whose_id_every_caller_is_told(store: AuditStore) -> None:
    recorder = recorder_over(store)

    def deny(number: int, at: float) -> str:
        denial = decided("ecr:PutImage", at=at)
        denial.id = f"denial-{number}"
        return recorder.record(denial).id

    told = [deny(number, at) for number, at in enumerate((960.2, 960.9, 1019.9))]
    await recorder.flush()
    told += [deny(3, 1000.0), deny(4, 1020.0)]
    assert told == [*["denial-0"] * 4, "denial-4"]
    found = await recorder.find("denial-0")
    assert found is not None
    assert found.message is not None
    assert found.message.endswith("because no identity-based policy allows the ecr:PutImage action")
    assert (found.count, found.at, found.last) == (4, 960.2, 1000.0)
    assert len(await rows(store)) == 2


@pytest.mark.parametrize("other", [{"aws:sourceip": "10.0.0.8"}, {"aws:tagkeys": ("a", "b")}])
async def test_denials_that_differ_stay_apart(store: AuditStore, other: dict[str, Any]) -> None:
    recorder = recorder_over(store)
    recorder.record(decided("ecr:PutImage"))
    denial = decided("ecr:PutImage", **other)
    denial.id = "another"
    assert recorder.record(denial).id == "another"
    await recorder.flush()
    assert [row.count for row in await rows(store)] == [1, 1]


async def test_what_decisions_share_is_kept_whole_and_once(store: AuditStore) -> None:
    recorder = recorder_over(store)
    recorder.record(decided())
    recorder.record(decided("ecr:BatchDeleteImage"))
    await recorder.flush()
    one, other = await rows(store)
    assert (one.caller, one.context, one.policies) == (other.caller, other.context, other.policies)
    parts = await store.shared_values([one.caller, one.context, one.policies])
    caller = json.loads(parts[one.caller])
    assert msgspec.convert(caller["principal"], policy.Principal) == ANN
    assert (caller["credential"], caller["key_id"]) == ("key", "AKIAX")
    assert json.loads(parts[one.context]) == {"aws:userid": "AIDAX", "aws:sourceip": "10.0.0.7"}
    assert json.loads(parts[one.policies]) == {
        "identity": [{"name": "all", "hash": "h1", "kind": "identity"}],
        "scp": [[{"name": "root", "hash": "h2", "kind": "scp"}]],
    }


async def test_equal_reads_are_one_event_writes_are_not(store: AuditStore) -> None:
    clock = Clock()
    recorder = Recorder(store, clock, Settings(), lambda _kind, _number: None)
    for _ in range(2):
        recorder.record_event(event(recorder.record(decided())))
        recorder.record_event(event(recorder.record(decided()), request=b'{"repositoryName":"app","imageIds":[]}'))
        recorder.record_event(event(recorder.record(decided()), read_only=False, name="PutImage"))
        recorder.record_event(event(recorder.record(decided()), error_code="ImageNotFoundException"))
        clock.offset += 100
    await recorder.flush()
    (decision,) = await rows(store)
    found = await events(store)
    assert sorted(each["count"] for each in found) == [1, 1, 2, 2, 2]
    assert {round(each["last"] - each["at"]) for each in found} == {0, 100}
    assert all(json.loads(each["detail"])["decisions"] == [decision.id] for each in found)


async def test_failures_to_prove_a_key_are_told_once_with_their_count(store: AuditStore) -> None:
    recorder = recorder_over(store)
    for code in ("InvalidSignatureException", "ExpiredTokenException", "InvalidSignatureException"):
        recorder.record_event(event(authenticated=False, error_code=code))
    await recorder.flush()
    assert sorted((each["error_code"], each["count"]) for each in await events(store)) == [
        ("ExpiredTokenException", 1),
        ("InvalidSignatureException", 2),
    ]


async def test_an_event_belongs_to_the_caller_and_to_the_owner_of_the_resource(store: AuditStore) -> None:
    recorder = recorder_over(store)
    theirs = decided("ecr:PutImage")
    request = msgspec.structs.replace(theirs.decision.request, resource_account="222222222222")
    theirs.decision = msgspec.structs.replace(theirs.decision, request=request)
    recorder.record_event(event(theirs, id="the-request", error_code="AccessDeniedException"))
    await recorder.flush()
    for account in (ACCOUNT, "222222222222"):
        (row,) = (await store.events(account, EventFilter(id="the-request"))).rows
        assert row.verdict == "denied"
        assert json.loads(row.detail)["shared"] is True


class Failing(AuditStore):
    """Refuses the first writes, or every one that holds a certain row."""

    refusals = 0
    poison = ""

    async def append(self, batch: Batch) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("no")
        if self.poison in {*(row.id for row in batch.decisions), *(row.id for row in batch.events)}:
            raise ValueError("this row")
        await super().append(batch)


@pytest.fixture
async def failing(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Failing]:
    monkeypatch.setattr("moorage.audit.batch_writer._RETRY_SECONDS", 0.0)
    opened = await Failing.open(database_settings)
    assert isinstance(opened, Failing)
    yield opened
    await opened.close()


async def test_a_write_that_fails_is_tried_again(failing: Failing) -> None:
    dropped: list[int] = []
    recorder = recorder_over(failing, dropped)
    failing.refusals = 2
    recorder.record(decided())
    await recorder.flush()
    assert len(await rows(failing)) == 1
    assert dropped == []


async def test_a_row_that_cannot_be_written_takes_no_other_with_it(failing: Failing) -> None:
    dropped: list[int] = []
    recorder = recorder_over(failing, dropped)
    failing.poison = recorder.record(decided("ecr:PutImage")).id
    recorder.record(decided())
    recorder.record_event(event())
    await recorder.flush()
    assert [row.action for row in await rows(failing)] == ["ecr:BatchGetImage"]
    assert len(await events(failing)) == 1
    assert len(dropped) == 1


async def test_a_database_that_takes_nothing_costs_the_batch_not_the_time(failing: Failing) -> None:
    dropped: list[int] = []
    recorder = recorder_over(failing, dropped)
    failing.refusals = 100
    for number in range(500):
        recorder.record(decided(**from_ip(number)))
    await recorder.flush()
    assert len(dropped) == 500
    assert failing.refusals > 0


async def test_what_waits_is_written_by_itself_and_at_the_end(store: AuditStore, database_settings: Settings) -> None:
    recorder = recorder_over(store)
    recorder.start()
    recorder.record(decided())
    async with asyncio.timeout(20):
        while not await rows(store):  # noqa: ASYNC110 - from outside there is no event to wait for
            await asyncio.sleep(0.02)
    recorder.record(decided("ecr:BatchDeleteImage"))
    await recorder.stop()
    again = await AuditStore.open(database_settings)
    assert len(await rows(again)) == 2
    await again.close()
