"""Replays: a proposed policy against what was recorded, decided by the engine that decided it."""

import itertools
import json
import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage import policy
from moorage.access import guardrails
from moorage.analysis.generated_policy import GeneratedPolicy
from moorage.analysis.policy_generator import Generator
from moorage.analysis.progress import Progress
from moorage.analysis.replay import Baseline, Replays
from moorage.analysis.replay_report import ReplayReport
from moorage.audit.recorded_decisions import RecordedDecisions
from moorage.audit.shared_values import read_caller
from moorage.errors import InvalidParameter, RepositoryNotFound
from moorage.identity.accounts.organizations import Guardrail, Membership
from moorage.names import RepositoryName
from tests.support.backend import APP, OTHER, OWNER, Backend, document, statement

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def proposal(*statements: dict[str, Any]) -> policy.Document:
    return policy.parse(document(*statements), policy.Kind.REPOSITORY)


async def replay(
    backend: Backend, proposed: policy.Document | None, *, since: float = 0.0, baseline: Baseline = "in-force"
) -> ReplayReport:
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    prepared = await replays.prepare(APP, proposed, since=since, until=1e12, baseline=baseline)
    told = [each async for each in prepared.run()]
    report = told.pop()
    assert isinstance(report, ReplayReport)
    assert all(isinstance(each, Progress) for each in told)
    last = told[-1]
    assert isinstance(last, Progress)
    assert last.read == last.of == report.decisions + report.unreadable
    return report


async def test_who_loses_and_who_gains_and_who_keeps_what_they_have(backend: Backend) -> None:
    mine = statement("Allow", "ecr:*", Resource="*")
    ann, bob = [await backend.user(name, mine, account=OTHER) for name in ("ann", "bob")]
    eve = await backend.user("eve", mine)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": ann.principal.arn}))
    for caller in (ann, ann, bob, eve):
        await backend.may(caller, "ecr:BatchGetImage", source_ip="198.51.100.9")
    report = await replay(backend, proposal(statement("Allow", PULL, Principal={"AWS": bob.principal.arn})))
    assert (report.requests, report.lost_requests, report.gained_requests) == (4, 2, 1)
    assert [(each.principal, each.action, each.requests) for each in report.lost] == [
        (ann.principal.arn, "ecr:BatchGetImage", 2)
    ]
    assert [each.principal for each in report.gained] == [bob.principal.arn]
    assert [(each.principal, each.allowed, each.denied) for each in report.unchanged] == [(eve.principal.arn, 1, 0)]
    example = report.lost[0].examples[0]
    assert (example.source_ip, example.reason) == (
        "198.51.100.9",
        "resource: no statement allows it (6-no-resource-grant)",
    )
    row = await backend.audit.find(example.decision)
    assert row is not None
    assert row.principal == ann.principal.arn


async def test_the_policy_in_force_changes_nothing_whatever_was_recorded_under_another(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await backend.may(ann, "ecr:BatchGetImage")
    grant = statement("Allow", PULL, Principal={"AWS": OTHER})
    await backend.policy(grant)
    report = await replay(backend, proposal(grant))
    assert (report.lost_requests, report.gained_requests, report.still_allowed) == (0, 0, 1)
    assert report.decided_otherwise == 1
    report = await replay(backend, proposal(grant), baseline="recorded")
    assert (report.gained_requests, report.decided_otherwise) == (1, 0)


async def test_each_request_has_its_own_time(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    for second in (1_000_000, 2_000_000):
        backend.clock.set(second)
        await backend.may(ann, "ecr:BatchGetImage")
        await backend.recorder.flush()
    until = statement(
        "Allow",
        PULL,
        Principal={"AWS": OTHER},
        Condition={"DateLessThan": {"aws:CurrentTime": "1970-01-20T00:00:00Z"}},
    )
    report = await replay(backend, proposal(until))
    assert (report.still_allowed, report.lost_requests) == (1, 1)
    assert report.lost[0].first == "1970-01-24T03:33:20Z"
    report = await replay(backend, proposal(until), since=1_500_000)
    assert (report.requests, report.lost_requests) == (1, 1)


async def test_equal_requests_of_an_hour_count_each_and_are_tried_at_their_first_and_last(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    for second in (998_000, 998_500, 998_900):
        backend.clock.set(second)
        await backend.may(ann, "ecr:BatchGetImage")
        await backend.recorder.flush()
    late = {"NumericLessThan": {"aws:EpochTime": "998600"}}
    report = await replay(backend, proposal(statement("Allow", PULL, Principal={"AWS": OTHER}, Condition=late)))
    assert (report.decisions, report.requests, report.lost_requests) == (1, 3, 3)


@pytest.mark.parametrize(
    ("condition", "lost"),
    [
        ({"NumericLessThan": {"aws:EpochTime": "1001500"}}, 3),  # between the first and the last of the second hour
        ({"DateLessThan": {"aws:CurrentTime": "1970-01-12T14:11:40Z"}}, 3),  # the same moment
        ({"NumericGreaterThanEquals": {"aws:EpochTime": "1001500"}}, 3),
        ({"NumericGreaterThanEquals": {"aws:EpochTime": "998001"}}, 1),
        ({"StringLike": {"aws:CurrentTime": "*:20Z"}}, 3),  # as the first two moments end
    ],
)
async def test_what_was_found_at_one_time_is_found_at_those_that_are_no_different(
    backend: Backend, condition: dict[str, Any], lost: int
) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    for second in (998_000, 1_001_000, 1_002_000, 1_005_000):  # the second and third fall into one hour
        backend.clock.set(second)
        await backend.may(ann, "ecr:BatchGetImage")
        await backend.recorder.flush()
    report = await replay(backend, proposal(statement("Allow", PULL, Principal={"AWS": OTHER}, Condition=condition)))
    assert (report.decisions, report.requests, report.lost_requests) == (3, 4, lost)


async def test_the_root_finds_its_way_out_and_making_a_repository_asks_no_policy(backend: Backend) -> None:
    root = await backend.root()
    await backend.may(root, "ecr:SetRepositoryPolicy")
    await backend.may(root, "ecr:PutImage")
    await backend.may(root, "ecr:CreateRepository")
    report = await replay(backend, proposal(statement("Deny", "ecr:*", Principal="*")))
    assert [(each.principal, each.action) for each in report.lost] == [(root.principal.arn, "ecr:PutImage")]
    assert report.still_allowed == 2


async def test_no_policy_and_a_role_s_sessions_as_one(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    await backend.policy(statement("Allow", PULL, Principal={"AWS": OTHER}))
    await backend.may(ann, "ecr:BatchGetImage")
    report = await replay(backend, None)
    assert report.lost_requests == 1


async def test_what_is_no_policy_is_refused_with_the_reason(backend: Backend) -> None:
    with pytest.raises(InvalidParameter, match="not a repository policy: "):
        await backend.check.proposed(APP, "{}")
    await backend.user("ann")
    nobody = f"arn:aws:iam::{OWNER}:user/nobody"
    with pytest.raises(InvalidParameter, match=f"Principal not found: {nobody}"):
        await backend.check.proposed(APP, document(statement("Allow", PULL, Principal={"AWS": nobody})))
    with pytest.raises(InvalidParameter, match="at most 10240 characters"):
        await backend.check.proposed(APP, " " * 20_000)


async def test_a_repository_that_is_not_there(backend: Backend) -> None:
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    with pytest.raises(RepositoryNotFound):
        await replays.prepare(APP._replace(name=RepositoryName("none")), None, since=0)


CONDITIONS = st.sampled_from(
    [
        {},
        {"IpAddress": {"aws:SourceIp": "192.0.2.0/28"}},
        {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/28"}},
        {"NumericLessThan": {"aws:EpochTime": "5000005"}},
        {"DateGreaterThan": {"aws:CurrentTime": [str(million * 1_000_000 + 4_006) for million in range(1, 41)]}},
        {"NumericEquals": {"aws:EpochTime": [str(million * 1_000_000 + 4) for million in range(1, 41)]}},
        {"DateNotEquals": {"aws:EpochTime": [str(million * 1_000_000 + 8_003) for million in range(1, 41)]}},
        {"StringNotLike": {"aws:CurrentTime": "*3Z"}},
        {"StringEquals": {"aws:PrincipalAccount": OTHER}},
    ]
)
STATEMENTS = st.builds(
    lambda effect, actions, principal, condition: statement(
        effect, actions, Principal=principal, **({"Condition": condition} if condition else {})
    ),
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.lists(st.sampled_from([*PULL, "ecr:PutImage", "ecr:Batch*"]), min_size=1, max_size=2, unique=True),
    st.sampled_from(["*", {"AWS": OTHER}, {"AWS": OWNER}, {"AWS": f"arn:aws:iam::{OTHER}:user/ann"}]),
    CONDITIONS,
)
POLICIES = st.lists(STATEMENTS, min_size=1, max_size=4).map(lambda each: document(*each))
REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from([*PULL, "ecr:PutImage"]), st.sampled_from([1, 2, 20]), st.integers(0, 12)
    ),
    min_size=1,
    max_size=12,
)


EXAMPLES = itertools.count(1)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
@given(first=POLICIES, second=POLICIES, requests=REQUESTS)
async def test_a_replay_says_what_the_doors_would_have_said(
    backend: Backend, first: str, second: str, requests: list[tuple[int, str, int, int]]
) -> None:
    """Whatever was asked: the policy in force changes nothing, and another changes what asking again would find."""
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

    async def ask(at: float) -> list[bool]:
        answers = []
        for number, (who, action, address, seconds) in enumerate(requests):
            backend.clock.set(at + number * 4_000 + seconds)
            answers.append(await backend.may(people[who], action, source_ip=f"192.0.2.{address}"))
            await backend.recorder.flush()
        return answers

    await backend.policy(*json.loads(first)["Statement"])
    before = await ask(begin)
    same = await replay(backend, proposal(*json.loads(first)["Statement"]), since=begin)
    assert (same.lost_requests, same.gained_requests, same.decided_otherwise) == (0, 0, 0)
    assert same.requests == len(requests)
    found = await replay(backend, proposal(*json.loads(second)["Statement"]), since=begin)
    await backend.policy(*json.loads(second)["Statement"])
    after = await ask(begin)
    assert found.lost_requests == sum(was and not now for was, now in zip(before, after, strict=True))
    assert found.gained_requests == sum(now and not was for was, now in zip(before, after, strict=True))


def test_a_caller_recorded_before_roles_were_told_to_be_service_linked_is_bound_by_scps() -> None:
    """The records of before have no such member: nothing in a role's ARN makes up for it."""
    role = f"arn:aws:iam::{OWNER}:role/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication"
    principal = {"kind": "role", "account": OWNER, "arn": "arn", "id": "id", "role_arn": role, "role_id": "AROA"}
    kept = read_caller(json.dumps({"principal": principal, "credential": "role", "key_id": "ASIA", "context": {}}))
    assert kept.principal.role_arn == role
    assert not kept.principal.service_linked
    rails = ((Guardrail("Guard", "hash"),),)
    members = {str(OWNER): Membership("o-moorage000", "o-moorage000/r-ab12/", rails, None)}
    assert guardrails.scp(members, kept.principal) == rails


async def test_what_a_star_allowed_before_is_denied_in_a_replay_and_not_generated_again(backend: Backend) -> None:
    """Records of before tell of Moorage's actions that `*` in a repository policy granted to other accounts."""
    outsider = await backend.root(OTHER)
    await backend.policy(statement("Allow", "*", Principal="*"))
    assert not await backend.may(outsider, "moorage:ReadAccess")
    await backend.recorder.flush()
    with sqlite3.connect(backend.settings.data / "audit.db") as database:
        assert database.execute("UPDATE decisions SET allowed = 1, rule = '6-both-sides'").rowcount == 1
    opened = proposal(statement("Allow", "*", Principal="*"))
    report = await replay(backend, opened)
    assert (report.still_denied, report.lost_requests, report.gained_requests) == (1, 0, 0)
    report = await replay(backend, opened, baseline="recorded")
    assert [(each.principal, each.action) for each in report.lost] == [(outsider.principal.arn, "moorage:ReadAccess")]
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    made = Generator(records, replays, backend.check).for_repository(
        APP, since=0.0, until=1e12, everybody=True, by_network=False
    )
    last = [each async for each in made][-1]
    assert isinstance(last, GeneratedPolicy)
    assert last.policy is None


async def test_moorages_actions_that_are_spelled_out_count(backend: Backend) -> None:
    outsider = await backend.root(OTHER)
    await backend.policy(statement("Allow", ["*", "moorage:ReadAccess"], Principal="*"))
    assert await backend.may(outsider, "moorage:ReadAccess")
    report = await replay(backend, proposal(statement("Allow", "*", Principal="*")))
    assert [(each.principal, each.action) for each in report.lost] == [(outsider.principal.arn, "moorage:ReadAccess")]
    records = RecordedDecisions(backend.audit, backend.access)
    replays = Replays(records, backend.recorder, backend.registry.repository_policies, backend.clock, backend.settings)
    made = Generator(records, replays, backend.check).for_repository(
        APP, since=0.0, until=1e12, everybody=False, by_network=False
    )
    last = [each async for each in made][-1]
    assert isinstance(last, GeneratedPolicy)
    assert last.policy is not None
    assert [each["Action"] for each in json.loads(last.policy)["Statement"]] == ["moorage:ReadAccess"]


async def test_a_request_whose_context_was_cut_is_not_decided_on_what_is_left_of_it(backend: Backend) -> None:
    """Neither a policy in force nor a proposed one may read a value that the record does not hold whole."""
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    grant = statement("Allow", PULL, Principal={"AWS": OTHER})
    by_agent = {**grant, "Condition": {"StringLike": {"aws:UserAgent": "*the end"}}}
    by_variable = {**grant, "Condition": {"StringLike": {"aws:SourceIp": "${aws:UserAgent}"}}}
    await backend.policy(by_agent)
    assert await backend.may(ann, "ecr:BatchGetImage", user_agent="x" * 5000 + "the end")
    assert await backend.may(ann, "ecr:BatchGetImage", user_agent="the end")
    for proposed in (by_agent, by_variable):
        report = await replay(backend, proposal(proposed), baseline="recorded")
        assert (report.requests, report.unreadable) == (1, 1)
    assert (await replay(backend, proposal(grant))).unreadable == 1
    report = await replay(backend, proposal(grant), baseline="recorded")
    assert (report.still_allowed, report.unreadable) == (2, 0)


async def test_nor_one_whose_referer_held_a_secret(backend: Backend) -> None:
    ann = await backend.user("ann", statement("Allow", "ecr:*", Resource="*"), account=OTHER)
    grant = statement("Allow", PULL, Principal={"AWS": OTHER})
    by_page = {**grant, "Condition": {"StringLike": {"aws:Referer": "https://ci.example/*"}}}
    await backend.policy(grant)
    for page in ("https://ci.example/build", "https://ci.example/build?token=secret", "https://u:p@ci.example/build"):
        await backend.may(ann, "ecr:BatchGetImage", referer=page)
    report = await replay(backend, proposal(by_page))
    assert (report.still_allowed, report.unreadable) == (1, 1)  # those two are equal in what is kept
