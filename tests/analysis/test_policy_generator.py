"""Policies made from what was used: nothing that was allowed is lost, nothing that was not used is opened."""

import itertools
import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from moorage import policy
from moorage.analysis.generated_policy import GeneratedPolicy
from moorage.analysis.policy_generator import Generator
from moorage.analysis.replay import Replays
from moorage.analysis.usage import MAX_NETWORKS, Usage, grantee, sid_of
from moorage.audit.recorded_decisions import RecordedDecisions
from moorage.identity.principals.entity import USER
from moorage.policy.catalog.actions import PULL, PUSH
from tests.analysis.test_replay import POLICIES, REQUESTS
from tests.support.backend import APP, OTHER, OWNER, Backend, connection, statement


async def generated(backend: Backend, *, since: float = 0.0, **more: bool) -> GeneratedPolicy:
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    await backend.recorder.flush()
    options = {"everybody": False, "by_network": False, **more}
    made = Generator(records, replays, backend.check).for_repository(APP, since=since, until=1e12, **options)
    last = [each async for each in made][-1]
    assert isinstance(last, GeneratedPolicy)
    return last


def statements(made: GeneratedPolicy) -> list[dict[str, Any]]:
    assert made.policy is not None
    listed: list[dict[str, Any]] = json.loads(made.policy)["Statement"]
    return listed


async def test_who_used_the_same_stands_in_one_statement_with_a_name(backend: Backend) -> None:
    mine = statement("Allow", "ecr:*", Resource="*")
    await backend.policy(statement("Allow", "ecr:*", Principal={"AWS": OTHER}))
    people = [await backend.user(name, mine, account=OTHER) for name in ("bob", "ann")]
    here = await backend.user("here", mine)
    for caller in (*people, here):
        for action in PULL:
            await backend.may(caller, action)
    made = await generated(backend)
    assert statements(made) == [
        {
            "Sid": "Pull",
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{OTHER}:user/ann", f"arn:aws:iam::{OTHER}:user/bob"]},
            "Action": list(PULL),
        }
    ]
    assert made.replay is not None
    assert (made.requests, made.replay.lost_requests, made.replay.still_allowed) == (6, 0, 6)
    named = [each["Principal"]["AWS"] for each in statements(await generated(backend, everybody=True))]
    assert f"arn:aws:iam::{OWNER}:user/here" in named[0]


async def test_networks_and_the_root_of_another_account(backend: Backend) -> None:
    await backend.policy(statement("Allow", "ecr:*", Principal={"AWS": OTHER}))
    root = await backend.root(OTHER)
    for address in ("192.0.2.2", "192.0.2.3", "2001:db8::1"):
        await backend.may(root, "ecr:BatchGetImage", source_ip=address)
    (only,) = statements(await generated(backend, by_network=True))
    assert only["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{OTHER}:root"},
        "IpAddress": {"aws:SourceIp": ["192.0.2.2/31", "2001:db8::1/128"]},
    }


async def test_denies_stay_and_who_is_gone_is_said(backend: Backend) -> None:
    mine = statement("Allow", "ecr:*", Resource="*")
    ann, bob = [await backend.user(name, mine, account=OTHER) for name in ("ann", "bob")]
    deny = statement("Deny", "ecr:PutImage", Principal="*")
    await backend.policy(statement("Allow", "ecr:*", Principal={"AWS": OTHER}), deny)
    for caller in (ann, bob):
        await backend.may(caller, "ecr:BatchGetImage")
    key = (await backend.identity.keys.list(OTHER, "bob"))[0].id
    await backend.identity.keys.delete(OTHER, "bob", key, by="tests")
    await backend.identity.inline.delete(USER, OTHER, "bob", "own", "test")
    await backend.identity.users.delete(OTHER, "bob", "test")
    made = await generated(backend)
    assert made.gone == [f"arn:aws:iam::{OTHER}:user/bob"]
    assert [each["Effect"] for each in statements(made)] == ["Deny", "Allow"]
    assert made.kept_denies == 1
    assert made.replay is not None
    assert made.replay.lost_requests == 1


async def test_conditions_that_the_policy_no_longer_has_are_said(backend: Backend) -> None:
    inside = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}, "Bool": {"aws:SecureTransport": "true"}}
    await backend.policy(
        statement("Allow", "ecr:*", Principal={"AWS": OTHER}, Condition=inside),
        statement("Deny", "ecr:PutImage", Principal="*", Condition={"StringEquals": {"aws:username": "bob"}}),
    )
    caller = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    for action in PULL:
        await backend.may(caller, action)
    made = await generated(backend)
    assert made.policy is not None
    assert made.dropped == [
        "IpAddress aws:SourceIp 10.0.0.0/8, 192.0.2.0/24 (of statement 1)",
        "Bool aws:SecureTransport true (of statement 1)",
    ]


async def test_conditions_of_identity_policies_are_said_to_their_account_alone(backend: Backend) -> None:
    inside = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    caller = await backend.user("ann", {**statement("Allow", "ecr:*", Resource="*", Condition=inside), "Sid": "Inside"})
    for action in PULL:
        await backend.may(caller, action)
    await backend.recorder.flush()
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    generator = Generator(records, replays, backend.check)
    for asking, expected in (
        (OWNER, ["IpAddress aws:SourceIp 192.0.2.0/24 (of statement 'Inside' of own)"]),
        (OTHER, []),
    ):
        made = generator.for_identity(APP, f"arn:aws:iam::{OWNER}:user/ann", asking=asking, since=0.0, until=1e12)
        last = [each async for each in made][-1]
        assert isinstance(last, GeneratedPolicy)
        assert last.dropped == expected


async def test_nothing_used_nothing_made(backend: Backend) -> None:
    made = await generated(backend)
    assert (made.policy, made.requests) == (None, 0)


async def test_the_identity_policy_of_somebody(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"))
    for action in (*PULL, *PUSH):
        await backend.may(ann, action)
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    await backend.recorder.flush()
    made = Generator(records, replays, backend.check).for_identity(
        APP, ann.principal.arn, asking=OWNER, since=0, until=1e12
    )
    last = [each async for each in made][-1]
    assert isinstance(last, GeneratedPolicy)
    assert statements(last) == [
        {"Sid": "PullAndPush", "Effect": "Allow", "Action": sorted({*PULL, *PUSH}), "Resource": APP.arn}
    ]
    assert last.unallowed == 0


def test_sets_of_actions_have_names() -> None:
    assert sid_of(PULL) == "Pull"
    assert sid_of(PUSH) == "Push"
    assert sid_of(["ecr:BatchGetImage"]) == "PartOfPull"
    assert sid_of(["ecr:ListImages"]) == "Used"


def test_too_many_networks_are_taken_together() -> None:
    usage = Usage()
    for number in range(MAX_NETWORKS * 2):
        usage.add(grantee(policy.ANONYMOUS), "ecr:BatchGetImage", f"192.0.{number // 100}.{2 * (number % 100)}")
    (made,) = usage.statements(by_network=True)
    assert made["Principal"] == "*"
    assert made["Condition"]["StringEquals"] == {"aws:PrincipalType": "Anonymous"}
    assert made["Condition"]["IpAddress"]["aws:SourceIp"] == "192.0.0.0/23"


EXAMPLES = itertools.count(1)
ALL = (*PULL, "ecr:PutImage", "ecr:BatchDeleteImage")


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
@given(first=POLICIES, requests=REQUESTS)
async def test_nothing_is_lost_and_nothing_unused_is_opened(
    backend: Backend, first: str, requests: list[tuple[int, str, int, int]]
) -> None:
    example = next(EXAMPLES)
    begin = 1_000_000.0 * example
    if example == 1:
        mine = statement("Allow", "ecr:*", Resource="*")
        await backend.user("ann", mine, account=OTHER)
        await backend.user("bob", mine)
        await backend.user("eve")
    people = [
        await backend.named("ann", OTHER),
        await backend.named("bob"),
        await backend.named("eve"),
        await backend.root(OTHER),
    ]
    await backend.policy(*json.loads(first)["Statement"])
    backend.clock.set(begin)
    used = set()
    for who, action, last_byte, _ in requests:
        if await backend.may(people[who], action, source_ip=f"192.0.2.{last_byte}"):
            used.add((who, action))
    made = await generated(backend, since=begin, by_network=False)
    assert made.replay is None or made.replay.lost_requests == 0
    assert not [each for each in made.findings if each.startswith("error")]
    if made.policy is None:
        return
    document = await backend.check.proposed(APP, made.policy)
    for number, person in enumerate(people):
        for wanted, address in itertools.product(ALL, ("192.0.2.1", "203.0.113.9")):
            there = connection(source_ip=address)
            if (number, wanted) in used or not await backend.access.would_allow(person, there, wanted, APP, document):
                continue
            alone = await backend.access.own(person.policies)
            request = policy.Request(person.principal, wanted, APP.arn, APP.account, {**person.context})
            assert policy.evaluate(request, alone).allowed
