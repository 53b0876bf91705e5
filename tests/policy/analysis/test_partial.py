"""What is possible when part of a request is unknown: never a wrong yes or no, and a widening is never overlooked."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import policy
from moorage.policy.analysis.partial import PartialEvaluator, PartialVerdict, UnknownKeys

OWNER, OTHER = "111122223333", "444455556666"
ARN = f"arn:aws:ecr:us-east-1:{OWNER}:repository/app"
UNKNOWN = UnknownKeys(frozenset({"aws:sourceip", "aws:useragent", "aws:principaltag/team"}))
ANN = policy.Principal("user", OTHER, f"arn:aws:iam::{OTHER}:user/ann", "AIDAANNANNANNANNANNAN", user_name="ann")
BOB = policy.Principal("user", OWNER, f"arn:aws:iam::{OWNER}:user/bob", "AIDABOBBOBBOBBOBBOBBO", user_name="bob")
FIXED = {"aws:username": "ann", "aws:principalaccount": OTHER}
WORLDS: list[dict[str, Any]] = [
    {**{key: value for key, value in zip(sorted(UNKNOWN.keys), values, strict=True) if value is not None}}
    for values in itertools.product(
        (None, "red", "blue"), ("10.0.0.1", "192.0.2.1", "2001:db8::1"), (None, "docker/27", "curl")
    )
]
TESTS = st.sampled_from(
    [
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8"),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"),
        ("StringLike", "aws:UserAgent", "docker/*"),
        ("StringNotLikeIfExists", "aws:UserAgent", "docker/*"),
        ("Null", "aws:PrincipalTag/team", "true"),
        ("StringEquals", "aws:PrincipalTag/team", "${aws:PrincipalTag/team}"),
        ("StringEquals", "aws:username", "${aws:PrincipalTag/team, 'ann'}"),
        ("StringEquals", "aws:username", "ann"),
        ("ForAllValues:StringEquals", "aws:TagKeys", "x"),
    ]
)


def _document(statements: list[Any], *, resource: bool) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements or [{**_one("Deny", [], 0, resource)}]})


def _one(effect: str, tests: list[tuple[str, str, str]], who: int, resource: bool) -> dict[str, Any]:
    condition: dict[str, dict[str, str]] = {}
    for operator, key, value in tests:
        condition.setdefault(operator, {})[key] = value
    made: dict[str, Any] = {"Effect": effect, "Action": "ecr:PutImage" if who == 3 else "ecr:BatchGetImage"}
    if resource:
        made["Principal"] = ("*", {"AWS": OTHER}, {"AWS": ANN.arn}, {"AWS": BOB.arn})[who]
    else:
        made["Resource"] = ("*", ARN, "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}", "*")[who]
    if condition:
        made["Condition"] = condition
    return made


def _policy(kind: policy.Kind) -> Any:
    resource = kind is policy.Kind.REPOSITORY
    statements = st.builds(
        _one,
        st.sampled_from(["Allow", "Allow", "Deny"]),
        st.lists(TESTS, max_size=2, unique=True),
        st.integers(0, 3),
        st.just(resource),
    )
    made = st.lists(statements, min_size=1, max_size=3)
    return made.map(lambda some: policy.Named("p", "", policy.parse(_document(some, resource=resource), kind)))


REPOSITORY, IDENTITY = _policy(policy.Kind.REPOSITORY), _policy(policy.Kind.IDENTITY)
CALLERS = st.sampled_from([ANN, BOB, policy.ANONYMOUS])


def _policies(identity: policy.Named, repository: policy.Named) -> policy.Policies:
    return policy.Policies(identity=(identity,), resource=(repository,))


def _request(caller: policy.Principal, world: dict[str, Any]) -> policy.Request:
    return policy.Request(caller, "ecr:BatchGetImage", ARN, OWNER, {**FIXED, **world})


@settings(max_examples=200)
@given(CALLERS, IDENTITY, REPOSITORY)
def test_yes_and_no_hold_in_every_world(
    caller: policy.Principal, identity: policy.Named, repository: policy.Named
) -> None:
    policies = _policies(identity, repository)
    answer = PartialEvaluator().ask(_request(caller, {}), policies, UNKNOWN)
    found = {policy.evaluate(_request(caller, world), policies).allowed for world in WORLDS}
    if answer.verdict is not PartialVerdict.DEPENDS:
        assert found == {answer.verdict is PartialVerdict.YES}
    else:
        assert answer.conditions()


@settings(max_examples=200)
@given(CALLERS, IDENTITY, REPOSITORY, REPOSITORY)
def test_no_widening_is_overlooked(
    caller: policy.Principal, identity: policy.Named, before: policy.Named, after: policy.Named
) -> None:
    asks = PartialEvaluator().ask
    old, new = _policies(identity, before), _policies(identity, after)
    was, now = (asks(_request(caller, {}), policies, UNKNOWN) for policies in (old, new))
    assert not was.may_exceed(was)
    if any(
        policy.evaluate(_request(caller, world), new).allowed
        and not policy.evaluate(_request(caller, world), old).allowed
        for world in WORLDS
    ):
        assert now.may_exceed(was)


@settings(max_examples=100)
@given(IDENTITY, REPOSITORY)
def test_identity_policies_that_are_not_known_bound_those_that_are(
    identity: policy.Named, repository: policy.Named
) -> None:
    policies = _policies(identity, repository)
    answer = PartialEvaluator().ask(_request(ANN, {}), policies, UNKNOWN, frozenset({"identity"}))
    found = {policy.evaluate(_request(ANN, world), policies).allowed for world in WORLDS}
    assert (answer.verdict is PartialVerdict.NO) <= (found == {False})
    assert (answer.verdict is PartialVerdict.YES) <= (found == {True})


@pytest.mark.parametrize("name", ["identity", "boundary", "session", "scp", "rcp"])
def test_of_policies_that_are_not_known_nothing_is_sure(name: policy.SetName) -> None:
    """A Deny in them would end even what the repository's policy grants by itself."""
    grant = _document([_one("Allow", [], 3, True) | {"Action": "ecr:BatchGetImage"}], resource=True)
    resource = (policy.Named("p", "", policy.parse(grant, policy.Kind.REPOSITORY)),)
    policies = policy.Policies(resource=resource)
    asks = PartialEvaluator().ask
    assert asks(_request(BOB, {}), policies, UNKNOWN).verdict is PartialVerdict.YES
    assert asks(_request(BOB, {}), policies, UNKNOWN, frozenset({name})).verdict is PartialVerdict.DEPENDS
    assert asks(_request(ANN, {}), policies, UNKNOWN, frozenset({name})).verdict is PartialVerdict.NO


def test_guard_rails_that_are_not_known_bind_nobody_without_an_account() -> None:
    text = _document([_one("Allow", [], 0, True)], resource=True)
    policies = policy.Policies(resource=(policy.Named("p", "", policy.parse(text, policy.Kind.REPOSITORY)),))
    asks = PartialEvaluator().ask
    assert asks(_request(policy.ANONYMOUS, {}), policies, UNKNOWN, frozenset({"scp"})).verdict is PartialVerdict.YES
    assert asks(_request(policy.ANONYMOUS, {}), policies, UNKNOWN, frozenset({"rcp"})).verdict is PartialVerdict.DEPENDS


def test_a_key_that_is_known_to_be_absent_is_not_unknown() -> None:
    text = _document([_one("Allow", [("StringEquals", "aws:PrincipalOrgID", "o-1")], 0, True)], resource=True)
    policies = policy.Policies(resource=(policy.Named("p", "", policy.parse(text, policy.Kind.REPOSITORY)),))
    key = frozenset({"aws:principalorgid"})
    for unknown in (UnknownKeys(others=True), UnknownKeys(key), UnknownKeys(prefixes=("aws:principalorg",))):
        absent = UnknownKeys(unknown.keys, unknown.prefixes, unknown.others, absent=key)
        assert PartialEvaluator().ask(_request(BOB, {}), policies, unknown).verdict is PartialVerdict.DEPENDS
        assert PartialEvaluator().ask(_request(BOB, {}), policies, absent).verdict is PartialVerdict.NO
        known = _request(BOB, {"aws:principalorgid": "o-1"})
        assert PartialEvaluator().ask(known, policies, absent).verdict is PartialVerdict.YES


def test_a_condition_on_a_network_is_named() -> None:
    text = _document([_one("Allow", [("IpAddress", "aws:SourceIp", "10.0.0.0/8")], 0, True)], resource=True)
    named = policy.Named("RepositoryPolicy", "", policy.parse(text, policy.Kind.REPOSITORY))
    answer = PartialEvaluator().ask(_request(BOB, {}), policy.Policies(resource=(named,)), UNKNOWN)
    assert answer.verdict is PartialVerdict.DEPENDS
    (clause,) = answer.conditions()
    (condition,) = clause.conditions
    assert (condition.operator, condition.key, condition.values) == ("IpAddress", "aws:SourceIp", ("10.0.0.0/8",))
    known = PartialEvaluator().ask(
        _request(BOB, {"aws:sourceip": "10.1.1.1"}), policy.Policies(resource=(named,)), UNKNOWN
    )
    assert known.verdict is PartialVerdict.YES


def test_nothing_exceeds_yes_and_all_exceeds_no() -> None:
    allow, deny = (
        policy.Policies(
            identity=(policy.Named("p", "", policy.parse(_document([one], resource=False), policy.Kind.IDENTITY)),)
        )
        for one in (_one("Allow", [], 0, False), _one("Deny", [], 0, False))
    )
    yes, no = (PartialEvaluator().ask(_request(BOB, {}), each, UNKNOWN) for each in (allow, deny))
    assert (yes.verdict, no.verdict) == (PartialVerdict.YES, PartialVerdict.NO)
    assert yes.may_exceed(no)
    assert not no.may_exceed(yes)
