"""The audit record under a flood: no write is missing, everything else is bounded and counted."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.recording import DecisionEntry
from moorage.audit.event import AuditEvent
from moorage.audit.recorder import AuditUnavailable, Recorder
from moorage.audit.text import CUT, MAX_BYTES
from moorage.clock import Clock
from moorage.errors import Throttling
from moorage.identity.credentials.credentials import PolicySets
from moorage.names import Region
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import AuditStore, Batch, EventFilter

ACCOUNT = "111111111111"
REGION = Region("us-east-1")
NOBODY = policy.Policies(identity=())
EVERYTHING = policy.Policies(
    identity=(
        policy.Named(
            "all",
            "h",
            policy.parse('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}', policy.Kind.IDENTITY),
        ),
    )
)
SMALL = 256 << 10


def caller(name: str) -> Caller:
    principal = policy.Principal("user", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{name}", f"AIDA{name}", user_name=name)
    return Caller(principal, "key", f"AKIA{name}", PolicySets(), {"aws:userid": f"AIDA{name}"})


ANN, BOB = caller("ANN"), caller("BOB")


class Dropped(dict[str, int]):
    def __call__(self, kind: str, number: int) -> None:
        self[kind] = self.get(kind, 0) + number


class Requests:
    """Makes the records of requests as the doors do."""

    def __init__(self, store: AuditStore, **settings: Any) -> None:
        self.store = store
        self.dropped = Dropped()
        self.clock = Clock()
        given = {"audit_queue_bytes": 2 * SMALL, **settings}
        self.recorder = Recorder(store, self.clock, Settings(**given), self.dropped)

    def decide(
        self, who: Caller, action: str, resource: str, policies: policy.Policies, **context: str
    ) -> tuple[DecisionEntry, Connection]:
        agent, referer = context.get("agent", "docker/1"), context.get("referer")
        arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{resource}"
        values = {"aws:userid": who.principal.id, "aws:useragent": agent, "aws:sourceip": "10.0.0.1"}
        if referer is not None:
            values["aws:referer"] = referer
        decision = policy.evaluate(policy.Request(who.principal, action, arn, ACCOUNT, values), policies)
        now = self.clock.now()
        entry = self.recorder.record(
            DecisionEntry("" if decision.allowed else str(uuid.uuid4()), now, now, REGION, decision, policies, who)
        )
        return entry, Connection("10.0.0.1", False, agent, referer, "localhost", REGION, [entry])

    def request(self, who: Caller, name: str, resource: str, policies: policy.Policies, **context: str) -> str:
        """A request that is decided; the id of its event."""
        entry, connection = self.decide(who, f"ecr:{name}", resource, policies, **context)
        denied = not entry.decision.allowed
        return self.recorder.record_event(
            AuditEvent(
                id=entry.id if denied else f"request-{name}-{resource}",
                source="ecr.amazonaws.com",
                name=name,
                region=REGION,
                caller=who,
                connection=connection,
                read_only=not name.startswith("Put"),
                request=json.dumps({"repositoryName": resource}).encode(),
                error_code="AccessDeniedException" if denied else None,
                error_message=context.get("message", "no") if denied else None,
            )
        )

    def claim(self, who: Caller, agent: str, address: str = "203.0.113.9") -> str:
        return self.recorder.record_event(
            AuditEvent(
                id=str(uuid.uuid4()),
                source="ecr.amazonaws.com",
                name="PutImage",
                region=REGION,
                caller=who,
                connection=Connection(address, False, agent, None, "localhost", REGION),
                read_only=False,
                request=b"null",
                error_code="InvalidSignatureException",
                error_message="The request signature we calculated does not match",
                authenticated=False,
            )
        )

    async def events(self, **wanted: str) -> list[dict[str, Any]]:
        await self.recorder.flush()
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = await self.store.events(ACCOUNT, EventFilter(**wanted), limit=500, after=after)
            found += map(msgspec.structs.asdict, page.rows)
            after = page.position
            if not page.more:
                return found

    async def decisions(self) -> set[str]:
        await self.recorder.flush()
        return {row.id for row in await self.store.decisions(account=ACCOUNT, since=0.0)}


@pytest.fixture
async def store(database_settings: Settings) -> AsyncIterator[AuditStore]:
    opened = await AuditStore.open(database_settings)
    yield opened
    await opened.close()


async def test_writes_and_refused_writes_are_all_there_after_a_flood_of_everything_else(store: AuditStore) -> None:
    made = Requests(store)
    told = set()
    for number in range(40):
        for each in range(100):
            made.request(BOB, "BatchGetImage", f"denied{number}-{each}", NOBODY)
            made.request(BOB, "BatchGetImage", f"read{number}-{each}", EVERYTHING)
            made.claim(ANN, f"agent {number} {each} {'x' * 500}")
        told.add(made.request(ANN, "PutImageTagMutability", f"app{number}", EVERYTHING))
        told.add(made.request(BOB, "PutImageTagMutability", f"app{number}", NOBODY))
    found = await made.events(name="PutImageTagMutability")
    assert {each["id"] for each in found} == told
    assert len(told) == 80
    named = {name for each in found for name in json.loads(each["detail"])["decisions"]}
    assert len(named) == 80
    assert named <= await made.decisions()
    assert "write" not in made.dropped
    assert made.dropped["other"] > 1000


async def test_what_waits_is_bounded_in_bytes(store: AuditStore) -> None:
    made = Requests(store)
    for number in range(5000):
        made.request(BOB, "BatchGetImage", f"r{number}", EVERYTHING, agent="x" * 20_000)
    entries, events = made.recorder._entries.values(), made.recorder._events.values()
    assert sum(each.size for each in entries) + sum(each.size for each in events) < SMALL
    assert made.recorder._others.used < SMALL
    await made.recorder.flush()
    assert made.recorder._others.used == 0


async def test_one_principal_leaves_room_for_the_next(store: AuditStore) -> None:
    made = Requests(store)
    for number in range(2000):
        made.request(BOB, "BatchGetImage", f"r{number}", EVERYTHING)
    for number in range(10):
        made.request(ANN, "BatchGetImage", f"a{number}", EVERYTHING)
    assert len(await made.events(principal=ANN.principal.arn)) == 10


async def test_what_is_omitted_is_counted_in_the_record(store: AuditStore) -> None:
    made = Requests(store, audit_rows_per_day=50)
    for number in range(60):
        made.request(BOB, "BatchGetImage", f"r{number}", EVERYTHING)
    await made.recorder.flush()
    for number in range(60, 100):
        made.request(BOB, "BatchGetImage", f"d{number}", NOBODY)
    found = await made.events(principal=BOB.principal.arn)
    assert sum(each["count"] for each in found) == 100
    (omitted,) = [each for each in found if each["verdict"] == "omitted"]
    assert (omitted["name"], omitted["count"], omitted["resource"]) == ("RequestsOmitted", 50, "*")
    assert json.loads(omitted["detail"])["more"] == {"omitted": True}
    made.clock.offset += 86_400
    made.request(BOB, "BatchGetImage", "tomorrow", EVERYTHING)
    assert len(await made.events(principal=BOB.principal.arn, verdict="allowed")) == 51


async def test_false_signatures_for_a_key_are_one_row_a_minute_for_each_address(store: AuditStore) -> None:
    made = Requests(store)
    told: set[str] = set()
    for round_ in range(3):
        for number in range(500):
            told.add(made.claim(ANN, f"agent {number} {'x' * 8000}"))
        made.claim(ANN, "other", "203.0.113.10")
        await made.recorder.flush()
        assert made.recorder._others.used == 0, round_
    found = await made.events()
    assert sorted(each["count"] for each in found) == [3, 1500]
    assert told < {each["id"] for each in found}
    assert all(len(each["detail"]) < 2 * MAX_BYTES for each in found)


async def test_a_row_that_is_written_twice_counts_once(store: AuditStore) -> None:
    made = Requests(store)
    made.claim(ANN, "agent")
    taken = await made.recorder._take()
    assert taken is not None
    await store.append(taken.batch)
    await store.append(taken.batch)
    assert [each["count"] for each in await made.events()] == [1]


async def test_equal_denials_are_one_row_with_their_count(store: AuditStore) -> None:
    made = Requests(store)
    told: set[str] = set()
    for _ in range(3):
        told.update(made.request(BOB, "PutImage", "app", NOBODY) for _ in range(100))
        told.update(made.request(BOB, "BatchGetImage", "app", NOBODY) for _ in range(100))
        await made.recorder.flush()
    assert sorted((each["name"], each["count"]) for each in await made.events()) == [
        ("BatchGetImage", 300),
        ("PutImage", 300),
    ]
    assert await made.decisions() == told
    assert all(row.count == 300 for row in await store.decisions(account=ACCOUNT, since=0.0))


async def test_who_is_refused_distinct_writes_without_end_has_to_wait(
    store: AuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.audit.recorder._SLOWED_SECONDS", 6.0)
    made = Requests(store, audit_rows_per_day=10)
    for number in range(10):
        await made.recorder.admit(BOB)
        made.request(BOB, "PutImage", f"none{number}", NOBODY)
    await made.recorder.admit(BOB)  # at once, but the next one is not
    waits = asyncio.create_task(made.recorder.admit(BOB))
    await asyncio.sleep(0)
    with pytest.raises(Throttling):
        await made.recorder.admit(BOB)
    await made.recorder.admit(ANN)
    waits.cancel()
    assert len(await made.events(name="PutImage")) == 10


class Broken(AuditStore):
    """A database that takes nothing while it is broken."""

    broken = True

    async def append(self, batch: Batch) -> None:
        if self.broken:
            raise OSError("No space left on device")
        await super().append(batch)


async def test_writes_wait_for_a_database_that_takes_nothing_and_then_no_more_begin(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.audit.recorder._ROOM_SECONDS", 0.05)
    monkeypatch.setattr("moorage.audit.batch_writer._RETRY_SECONDS", 0.0)
    store = await Broken.open(database_settings)
    assert isinstance(store, Broken)
    made = Requests(store)
    made.request(BOB, "BatchGetImage", "lost", EVERYTHING)
    done = 0

    async def write_until_refused() -> None:
        nonlocal done
        while True:
            await made.recorder.admit(ANN)
            made.request(ANN, "PutImage", f"app{done}", EVERYTHING)
            done += 1
            if done % 10 == 0:
                await made.recorder.flush()

    with pytest.raises(AuditUnavailable):
        await write_until_refused()
    assert 10 < done < 200  # half of the space, as one principal has
    assert made.dropped == {"other": 2}
    await made.recorder.admit(BOB)
    store.broken = False
    await made.recorder.flush()
    await made.recorder.admit(ANN)
    assert len(await made.events(name="PutImage")) == done
    assert len(await made.decisions()) == done
    await store.close()


async def test_stopping_with_a_broken_database_ends_and_says_what_is_lost(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("moorage.audit.batch_writer._RETRY_SECONDS", 0.0)
    store = await Broken.open(database_settings)
    made = Requests(store)
    made.recorder.start()
    made.request(ANN, "PutImage", "app", EVERYTHING)
    await made.recorder.stop()
    assert made.dropped == {"write": 2}
    assert "audit records lost" in "".join(capsys.readouterr())
    await store.close()


async def test_a_request_that_gives_up_while_it_waits_for_a_flush_loses_nothing(store: AuditStore) -> None:
    made = Requests(store)
    made.request(ANN, "PutImage", "app", EVERYTHING)
    impatient = asyncio.create_task(made.recorder.flush())
    await asyncio.sleep(0)
    impatient.cancel()
    assert len(await made.events(name="PutImage")) == 1


async def test_every_text_of_a_record_is_cut_and_the_context_says_so(store: AuditStore) -> None:
    made = Requests(store)
    long = "x" * 50_000
    told = made.request(
        BOB, "BatchGetImage", "r" + long, NOBODY, agent="agent\x00 é \ud800" + long, referer=long, message=long
    )
    (row,) = await made.events()
    assert all(len(str(value).encode()) <= MAX_BYTES for name, value in row.items() if name != "detail")
    assert len(row["detail"]) < 5 * MAX_BYTES
    decision = await made.recorder.find(told)
    assert decision is not None
    assert all(len(str(value).encode()) <= MAX_BYTES for value in msgspec.structs.asdict(decision).values())
    texts = await store.shared_values([decision.context])
    context = json.loads(texts[decision.context])
    assert sorted(context.pop(CUT)) == ["aws:referer", "aws:useragent", "resource"]
    assert context["aws:useragent"].startswith("agent\N{REPLACEMENT CHARACTER} é ?x")
    assert all(len(value.encode()) <= MAX_BYTES for value in context.values())
    assert context["aws:sourceip"] == "10.0.0.1"


async def test_an_event_without_decisions_and_one_with_many_are_rows(store: AuditStore) -> None:
    made = Requests(store)
    entry, connection = made.decide(ANN, "ecr:DescribeRepositories", "*", EVERYTHING)
    for decisions in ([], [entry], [entry] * 1002):
        made.recorder.record_event(
            AuditEvent(
                source="ecr.amazonaws.com",
                name="DescribeRepositories",
                region=REGION,
                caller=ANN,
                connection=msgspec.structs.replace(connection, decisions=decisions),
                read_only=True,
                request=b"{}",
            )
        )
    details = [json.loads(each["detail"]) for each in await made.events()]
    assert sorted(each.get("decided", 0) for each in details) == [0, 1, 1002]
    assert max(len(each.get("decisions", [])) for each in details) == 100


async def test_a_record_that_cannot_be_made_takes_no_other_with_it(
    store: AuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Requests(store)
    made.request(ANN, "PutImage", "first", EVERYTHING)
    made.request(ANN, "PutImage", "bad", EVERYTHING)
    made.request(ANN, "PutImage", "last", EVERYTHING)
    told = made.recorder._rows._events

    def broken(event: AuditEvent) -> Any:
        if b"bad" in event.request:
            raise ValueError
        return told(event)

    monkeypatch.setattr(made.recorder._rows, "_events", broken)
    assert [json.loads(each["detail"])["request"]["repositoryName"] for each in await made.events()] == [
        "first",
        "last",
    ]
    assert made.dropped == {"write": 1}


async def test_a_name_in_a_token_that_is_no_text_can_be_recorded(store: AuditStore) -> None:
    made = Requests(store)
    odd = policy.Principal("web", "", "arn:aws:iam::111111111111:oidc-provider/x", "x:aud:\ud800\0")
    who = Caller(odd, "web", "", PolicySets(), {"x:sub": "\ud800\0"})
    made.request(who, "PutImage", "app", NOBODY)
    assert len(await made.events()) == 1
    assert made.dropped == {}


async def test_long_records_count_as_several_rows(store: AuditStore) -> None:
    made = Requests(store, audit_rows_per_day=10)
    for number in range(10):
        made.request(BOB, "BatchGetImage", f"r{number}", NOBODY, message="x" * 20_000)
        await made.recorder.flush()
    assert 0 < len(await made.events(verdict="denied")) < 5


async def test_taking_on_a_role_is_recorded_as_a_write_is(store: AuditStore) -> None:
    made = Requests(store)
    for number in range(3000):
        made.request(BOB, "BatchGetImage", f"r{number}", EVERYTHING)
    told = {
        made.request(BOB, "AssumeRole", f"role{number}", policies)
        for number, policies in ((1, EVERYTHING), (2, NOBODY))
    }
    assert {each["id"] for each in await made.events(name="AssumeRole")} == told


async def test_decisions_of_writes_that_found_no_room_add_up_like_the_others(store: AuditStore) -> None:
    made = Requests(store)
    for number in range(3000):
        made.request(BOB, "BatchGetImage", f"r{number}", EVERYTHING)
    told = {made.request(BOB, "PutImage", "app", NOBODY) for _ in range(5)}
    (found,) = await made.events(name="PutImage")
    (decision,) = (await store.find_all(told)).values()
    assert (found["count"], decision.count) == (5, 5)
