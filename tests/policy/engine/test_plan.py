"""What plans and documents keep of earlier requests changes no later answer, and does not grow."""

import fnmatch
import re
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import Context, Finding, Kind, Named, Plan, Policies, Principal, Request, evaluate, parse
from moorage.policy.engine.evaluate import answer_size
from moorage.policy.matching.resource import Resources
from tests.policy import worlds as w
from tests.policy.build import ACTION, ARN, OWNER, Kept, ask, grant, named, right, text, user
from tests.policy.worlds import World


@given(st.lists(w.requests, min_size=2, max_size=8), w.worlds)
def test_plans_and_documents_that_have_been_asked_before_answer_as_new_ones(asked: list[Request], world: World) -> None:
    used = w.policies(world)
    plans: dict[tuple[Principal, str], Plan] = {}
    kept = Kept()
    for one in [*asked, *asked]:
        new = evaluate(one, w.policies(world))
        assert evaluate(one, used) == new
        assert evaluate(one, used, detail=True) == evaluate(one, w.policies(world), detail=True)
        for each in asked:  # of every caller and action on everything in every context
            plan = plans.setdefault((one.principal, one.action), Plan(one.principal, one.action, used, kept))
            request = Request(one.principal, one.action, each.resource, each.resource_account, each.context)
            found = plan.decide(each.resource, each.resource_account, each.context)
            assert found == evaluate(request, w.policies(world))


def test_every_statement_has_its_finding_in_its_place() -> None:
    statements = [
        grant({"AWS": "444455556666"}, Sid="other"),
        grant("*", action="ecr:PutImage", Sid="push"),
        grant("*", Sid="condition", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}),
        grant("*", "Deny", Sid="deny", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        grant({"AWS": user().arn}, Sid="mine"),
    ]
    used = Policies(resource=named(Kind.REPOSITORY, *statements))
    for address, denied in (("10.0.0.1", True), ("192.0.2.1", False), ("10.0.0.1", True)):
        decision = evaluate(ask(user(), context={"aws:sourceip": address}), used)
        findings = decision.trace[0].policies[0].statements
        assert [(each.sid, each.first_failed) for each in findings] == [
            ("other", "principal"),
            ("push", "action"),
            ("condition", "condition"),
            ("deny", None if denied else "condition"),
            ("mine", None),
        ]
        assert decision.allowed is not denied


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("operator", ["IpAddress", "NotIpAddress", "StringLike", "StringNotLike", "IpAddressIfExists"])
def test_a_source_that_is_no_address_is_denied_where_a_statement_reads_it(effect: str, operator: str) -> None:
    condition = {operator: {"aws:SourceIp": "10.0.0.0/8" if "Ip" in operator else "10.*"}}
    asking = named(Kind.REPOSITORY, grant("*"), grant("*", effect, Condition=condition))
    for address in ("unknown", "", "10.0.0.0/8", "10.0.0.1:80"):
        asked = ask(user(), context={"aws:sourceip": address})
        assert evaluate(asked, Policies(resource=asking)).rule == "0-unfit-request"
        assert evaluate(asked, Policies(resource=named(Kind.REPOSITORY, grant("*")))).allowed
        assert evaluate(
            asked,
            Policies(
                resource=named(
                    Kind.REPOSITORY, grant("*"), grant("*", effect, Condition=condition, action="ecr:PutImage")
                )
            ),
        ).allowed


def test_what_was_found_of_one_value_is_not_found_of_another() -> None:
    of_team = named(Kind.REPOSITORY, grant("*", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}))
    for team in (None, "red", "blue", None, "blue", "red", None):
        context = {} if team is None else {"aws:principaltag/team": team}
        assert evaluate(ask(user(), context=context), Policies(resource=of_team)).allowed == (team == "red")


@pytest.mark.parametrize(
    ("operator", "contexts"),
    [
        ("StringEquals", [{"aws:principaltag/team": "blue"}, {"aws:principaltag/team": "green"}]),
        ("StringEquals", [{}, {"aws:useragent": "docker"}]),
        ("ForAnyValue:StringEquals", [{"aws:principaltag/team": ("blue",)}, {"aws:principaltag/team": ("green",)}]),
    ],
)
def test_findings_that_are_equal_are_one_object(operator: str, contexts: list[Context]) -> None:
    """By which conclusions are told apart."""
    of_team = named(Kind.REPOSITORY, grant("*", Condition={operator: {"aws:PrincipalTag/team": "red"}}))
    one, other = (evaluate(ask(user(), context=each), Policies(resource=of_team)) for each in contexts)
    assert one.trace[0].policies[0].statements[0] is other.trace[0].policies[0].statements[0]


def test_a_plan_tells_details_to_whoever_asks_for_them() -> None:
    of_team = named(Kind.REPOSITORY, grant("*", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}))
    plan = Plan(user(), ACTION, Policies(resource=of_team))
    # Contexts may be any mapping, and are asked about one after the other.
    asked = (ARN, OWNER, MappingProxyType({"aws:principaltag/team": "blue"}))
    (short,), (whole,) = (
        plan.decide(*asked, detail=detail).trace[0].policies[0].statements for detail in (False, True)
    )
    assert plan.decide(*asked).trace[0].policies[0].statements == (short,)
    assert short.first_failed == whole.first_failed == "condition"
    assert short != whole


def test_a_boundary_is_part_of_who_asks() -> None:
    """A Deny with NotPrincipal hits the bounded even when listed; the same document answers both."""
    resource = named(
        Kind.REPOSITORY, {"Effect": "Deny", "NotPrincipal": {"AWS": user().arn}, "Action": "ecr:*"}, grant("*")
    )
    bounded = named(Kind.BOUNDARY, right())
    for _ in range(2):
        assert evaluate(ask(user()), Policies(resource=resource)).allowed
        assert not evaluate(ask(user()), Policies(resource=resource, boundary=bounded)).allowed


def test_a_condition_hangs_on_the_keys_of_its_variables_too() -> None:
    same = {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}
    policy = Policies(resource=[Named("r", "", parse(text(grant("*", Condition=same)), Kind.REPOSITORY))])
    for of_resource in ("blue", "red", "blue"):
        context = {"aws:principaltag/team": "blue", "aws:resourcetag/team": of_resource}
        found = evaluate(Request(user(), ACTION, ARN, OWNER, context), policy)
        assert found.allowed == (of_resource == "blue")


def test_an_answer_is_kept_for_each_combination_of_values_that_is_read_and_is_short() -> None:
    kept = Kept()
    keys = [f"aws:PrincipalTag/{number}" for number in range(5)]
    statements = [grant("*", Condition={"StringEquals": {key: "yes"}}) for key in keys]
    plan = Plan(user(), ACTION, Policies(resource=named(Kind.REPOSITORY, *statements)), kept)
    for time in range(3):
        for number in range(32):
            context = {key.lower(): "yes" if number >> place & 1 else "no" for place, key in enumerate(keys)}
            assert plan.decide(ARN, OWNER, {**context, "aws:useragent": str(time)}).allowed == (number > 0)
    assert len(kept) == 32 + 2 * len(keys) + 32  # of the plan, of each statement, of the findings together
    before = len(kept)
    plan.decide(ARN, OWNER, {key.lower(): "x" * 257 for key in keys})
    assert len(kept) == before  # what the findings say together was known


def test_an_answer_counts_its_key_and_its_findings() -> None:
    kept = Kept()
    statements = [grant("*", Condition={"StringEquals": {"aws:UserAgent": "docker"}}) for _ in range(20)]
    plan = Plan(user(), ACTION, Policies(resource=named(Kind.REPOSITORY, *statements)), kept)
    plan.decide(ARN, OWNER, {"aws:useragent": "x" * 200})
    for key, answer in kept.items():
        texts = [len(part) for part in key if isinstance(part, str)]
        assert sum(texts) + 20 * 100 < answer_size(key, answer) < sum(texts) + 20 * 200 + 2000


def test_a_plan_names_each_document_once_and_counts_its_own_bytes_alone() -> None:
    agents = named(Kind.REPOSITORY, *[grant("*", Condition={"StringLike": {"aws:UserAgent": "docker/*"}})] * 20)
    both = Plan(user(), ACTION, Policies(resource=[*agents, *agents], scp=[named(Kind.SCP, right())]))
    assert [each.kind for each in both.documents] == [Kind.REPOSITORY, Kind.SCP]
    assert both.size < both.documents[0].size


def test_statements_that_read_the_same_keys_are_asked_once_for_equal_values() -> None:
    """Whatever else the context holds, and whichever way round they list the keys."""
    tests = ({"aws:UserAgent": "docker", "aws:SourceVpc": "a"}, {"aws:sourcevpc": "b", "aws:useragent": "podman"})
    in_vpc = [grant("*", Condition={"StringEquals": each}) for each in tests]
    of_team = grant("*", "Deny", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
    kept = Kept()
    plan = Plan(user(), ACTION, Policies(resource=named(Kind.REPOSITORY, in_vpc[0], of_team, in_vpc[1])), kept)
    for agent, vpc, team, allowed in (
        ("docker", "a", "blue", True),
        ("docker", "a", "red", False),
        ("podman", "a", "blue", False),
        ("podman", "b", "green", True),
        ("docker", "b", "green", False),
    ):
        context = {"aws:useragent": agent, "aws:sourcevpc": vpc, "aws:principaltag/team": team}
        decision = plan.decide(ARN, OWNER, context)
        assert decision.allowed is allowed
        assert [each.index for each in decision.trace[0].policies[0].statements] == [0, 1, 2]
    by_two_keys = [answer for answer in kept.values() if len(answer) == 2 and isinstance(answer[0], Finding)]
    assert len(by_two_keys) == 4


def test_what_was_concluded_on_one_resource_is_not_concluded_on_another() -> None:
    mine = named(Kind.IDENTITY, right(resource=f"{ARN}*"))
    plan = Plan(user(), ACTION, Policies(identity=mine))
    other = ARN.replace("repository/", "repository/not-")
    for resource, account in ((ARN, OWNER), (other, OWNER), (f"{ARN}2", OWNER), (ARN, "999900001111"), (ARN, OWNER)):
        expected = resource.startswith(ARN) and account == OWNER
        assert plan.decide(resource, account, {}).allowed == expected


def test_a_plan_tells_values_apart_that_variables_stand_for() -> None:
    same = {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}
    plan = Plan(user(), ACTION, Policies(resource=named(Kind.REPOSITORY, grant("*", Condition=same))))
    for of_resource in ("blue", "red", "blue"):
        context = {"aws:principaltag/team": "blue", "aws:resourcetag/team": of_resource}
        assert plan.decide(ARN, OWNER, context).allowed == (of_resource == "blue")
    mine = named(Kind.IDENTITY, right(resource=f"arn:aws:ecr:*:{OWNER}:repository/${{aws:PrincipalTag/team}}/*"))
    plan = Plan(user(), ACTION, Policies(identity=mine))
    resource = f"arn:aws:ecr:us-east-1:{OWNER}:repository/blue/app"
    for team in ("blue", "red", "blue"):
        assert plan.decide(resource, OWNER, {"aws:principaltag/team": team}).allowed == (team == "blue")


def test_a_value_that_can_be_no_key_changes_nothing_where_nobody_asks_it() -> None:
    deny = right("Deny", Condition={"StringEquals": {"aws:PrincipalTag/team": "red", "aws:UserAgent": "docker"}})
    plan = Plan(user(), ACTION, Policies(identity=named(Kind.IDENTITY, right(resource=f"{ARN}*"), deny)))
    context: dict[str, Any] = {"aws:principaltag/team": "blue", "aws:useragent": ["no", "text"]}
    assert plan.decide(ARN, OWNER, context).allowed
    assert not plan.decide(ARN.replace("repository/", "repository/not-"), OWNER, context).allowed


def test_a_value_that_is_no_text_is_unfit_whatever_was_kept() -> None:
    of_team = named(Kind.REPOSITORY, grant("*", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}))
    plan = Plan(user(), ACTION, Policies(resource=of_team))
    unfit: tuple[Any, ...] = (["red"], 5, ("red", 5), {"red": 1})
    for value in unfit:
        assert plan.decide(ARN, OWNER, {"aws:principaltag/team": "red"}).allowed
        assert plan.decide(ARN, OWNER, {"aws:principaltag/team": value}).rule == "0-unfit-request"


parts = st.text("ab*?", max_size=4)


@given(
    st.tuples(parts, parts, parts, parts, st.text("ab:/*?", max_size=8)),
    st.tuples(*[st.text("ab", max_size=3)] * 4, st.text("ab:/", max_size=6)),
    st.booleans(),
)
def test_resource_patterns_agree_with_a_plain_matcher_part_by_part(
    entry: tuple[str, ...], resource: tuple[str, ...], negated: bool
) -> None:
    wanted = all(
        re.fullmatch(fnmatch.translate(pattern), part) is not None
        for pattern, part in zip(entry, resource, strict=True)
    )
    listed = Resources([":".join(("arn", *entry))], negated=negated, variables=True)
    assert listed.match(":".join(("arn", *resource)), {}, True) is (wanted is not negated)
