"""What is possible when part of a request is unknown, case by case: the verdict, and every clause that it rests on."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from moorage.policy import Kind, Named, Policies, Principal, SetName, parse
from moorage.policy.analysis.partial import (
    PartialDecision,
    PartialEvaluator,
    PartialStatement,
    PartialVerdict,
    UnknownCondition,
    UnknownKeys,
)
from tests.policy.build import ARN, OTHER, OWNER, ask, grant, named, right, root, user

UNKNOWN = UnknownKeys(
    frozenset({"aws:sourceip", "aws:principaltag/team", "aws:securetransport", "aws:multifactorauthage"}),
    ("aws:requesttag/",),
)
KNOWN = {"aws:username": "alice", "aws:useragent": "docker/27"}
NETWORK = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
INSIDE = UnknownCondition("IpAddress", "aws:SourceIp", ("10.0.0.0/8",))
OF_TEAM = f"arn:aws:ecr:us-east-1:{OWNER}:repository/${{aws:PrincipalTag/Team}}/*"
YES, NO, DEPENDS = PartialVerdict.YES, PartialVerdict.NO, PartialVerdict.DEPENDS


def answer(
    policies: Policies,
    caller: Principal | None = None,
    unknown: UnknownKeys = UNKNOWN,
    open_sets: frozenset[SetName] = frozenset(),
) -> PartialDecision:
    return PartialEvaluator().ask(ask(caller or user(), context=KNOWN), policies, unknown, open_sets)


def clause(
    name: SetName,
    *conditions: UnknownCondition,
    allows: bool = True,
    strength: int = 0,
    level: int = 0,
    policy: str = "",
) -> PartialStatement:
    policy = policy or {"resource": "repository"}.get(name, name)
    return PartialStatement(name, level, policy, allows, strength, frozenset(conditions))


def identity(*statements: dict[str, object], version: str = "2012-10-17") -> Policies:
    return Policies(identity=named(Kind.IDENTITY, *statements, version=version))


def resource(*statements: dict[str, object]) -> Policies:
    return Policies(resource=named(Kind.REPOSITORY, *statements))


def alone(condition: Mapping[str, object]) -> Policies:
    """An identity policy whose Statement is no list."""
    text = json.dumps({"Version": "2012-10-17", "Statement": right(Condition=condition)})
    return Policies(identity=[Named("identity", "", parse(text, Kind.IDENTITY))])


CASES: dict[str, tuple[Policies, PartialVerdict, set[PartialStatement]]] = {
    "nothing hangs on what is unknown": (identity(right()), YES, {clause("identity")}),
    "nothing allows": (resource(grant({"AWS": OTHER})), NO, set()),
    "an Allow that holds in a network": (
        resource(grant("*", Condition=NETWORK)),
        DEPENDS,
        {clause("resource", INSIDE, strength=4)},
    ),
    "a Deny that holds in a network": (
        Policies(
            identity=named(Kind.IDENTITY, right()),
            resource=named(Kind.REPOSITORY, grant({"AWS": user().arn}, "Deny", Condition=NETWORK)),
        ),
        DEPENDS,
        {clause("identity"), clause("resource", INSIDE, allows=False)},
    ),
    "how strongly the caller is named": (
        resource(grant({"AWS": user().arn}), grant("*", Condition=NETWORK)),
        YES,
        {clause("resource", strength=3), clause("resource", INSIDE, strength=4)},
    ),
    "a statement that is alone": (alone(NETWORK), DEPENDS, {clause("identity", INSIDE)}),
    "a known condition beside, which fails": (
        identity(right(Condition={**NETWORK, "StringEquals": {"aws:username": "bob"}})),
        NO,
        set(),
    ),
    "a known condition under the same operator, which fails": (
        identity(right(Condition={"StringEquals": {"aws:PrincipalTag/Team": "red", "aws:username": "bob"}})),
        NO,
        set(),
    ),
    "a known condition under the same operator, which holds": (
        identity(right(Condition={"StringEquals": {"aws:PrincipalTag/Team": "red", "aws:username": "alice"}})),
        DEPENDS,
        {clause("identity", UnknownCondition("StringEquals", "aws:PrincipalTag/Team", ("red",)))},
    ),
    "a known key, and an unknown one in its value": (
        identity(right(Condition={"StringEquals": {"aws:username": "${ aws:PrincipalTag/Team }"}})),
        DEPENDS,
        {clause("identity", UnknownCondition("StringEquals", "aws:username", ("${ aws:PrincipalTag/Team }",)))},
    ),
    "values that are several, numbers, booleans": (
        identity(
            right(
                Condition={
                    "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]},
                    "Bool": {"aws:SecureTransport": True},
                    "NumericLessThan": {"aws:MultiFactorAuthAge": [300, 60.5]},
                }
            )
        ),
        DEPENDS,
        {
            clause(
                "identity",
                UnknownCondition("IpAddress", "aws:SourceIp", ("10.0.0.0/8", "192.0.2.0/24")),
                UnknownCondition("Bool", "aws:SecureTransport", ("true",)),
                UnknownCondition("NumericLessThan", "aws:MultiFactorAuthAge", ("300", "60.5")),
            )
        },
    ),
    "a key of which the beginning is unknown": (
        identity(right(Condition={"StringEquals": {"aws:RequestTag/Team": "red"}})),
        DEPENDS,
        {clause("identity", UnknownCondition("StringEquals", "aws:RequestTag/Team", ("red",)))},
    ),
    "a key that is known to be absent": (
        identity(right(Condition={"StringEquals": {"aws:PrincipalTag/Stage": "red"}})),
        NO,
        set(),
    ),
    "an Allow on what the caller's tag names": (
        identity(right(resource=OF_TEAM)),
        DEPENDS,
        {clause("identity", UnknownCondition("Resource", "", (OF_TEAM,)))},
    ),
    "an Allow on it and on what is there": (
        identity(right(resource=[OF_TEAM, ARN])),
        DEPENDS,  # Never wrong: an entry is not looked at alone.
        {clause("identity", UnknownCondition("Resource", "", (OF_TEAM, ARN)))},
    ),
    "an Allow on it, and a known condition, which fails": (
        identity(right(resource=OF_TEAM, Condition={"StringEquals": {"aws:username": "bob"}})),
        NO,
        set(),
    ),
    "a Deny on all but what the caller's tag names": (
        identity(right(), {"Effect": "Deny", "Action": "ecr:*", "NotResource": OF_TEAM}),
        DEPENDS,
        {clause("identity"), clause("identity", UnknownCondition("NotResource", "", (OF_TEAM,)), allows=False)},
    ),
    "an Allow on all but what the caller's tag names": (
        identity({"Effect": "Allow", "Action": "ecr:*", "NotResource": OF_TEAM}),
        DEPENDS,
        {clause("identity", UnknownCondition("NotResource", "", (OF_TEAM,)))},
    ),
    "a resource without what is unknown, which does not match": (
        identity(right(resource=f"{ARN}/below", Condition=NETWORK)),
        NO,
        set(),
    ),
    "levels of service control policies": (
        Policies(
            identity=named(Kind.IDENTITY, right()),
            scp=[
                named(Kind.SCP, right()),
                named(Kind.SCP, right(), right("Deny", Condition=NETWORK)),
            ],
        ),
        DEPENDS,
        {
            clause("identity"),
            clause("scp"),
            clause("scp", level=1),
            clause("scp", INSIDE, allows=False, level=1),
        },
    ),
    "a level that allows in a network": (
        Policies(identity=named(Kind.IDENTITY, right()), scp=[named(Kind.SCP, right(Condition=NETWORK))]),
        DEPENDS,
        {clause("identity"), clause("scp", INSIDE)},
    ),
    "levels of resource control policies": (
        Policies(
            identity=named(Kind.IDENTITY, right()),
            rcp=[
                named(Kind.RCP, grant("*", Resource="*")),
                named(Kind.RCP, grant("*", Resource="*", Condition=NETWORK)),
            ],
        ),
        DEPENDS,
        {clause("identity"), clause("rcp", strength=4), clause("rcp", INSIDE, strength=4, level=1)},
    ),
    "boundary and session policies": (
        Policies(
            identity=named(Kind.IDENTITY, right()),
            boundary=named(Kind.BOUNDARY, right(Condition=NETWORK)),
            session=named(Kind.SESSION, right()),
        ),
        DEPENDS,
        {clause("identity"), clause("boundary", INSIDE), clause("session")},
    ),
}


@pytest.mark.parametrize(("policies", "verdict", "clauses"), CASES.values(), ids=CASES)
def test_verdict_and_clauses(policies: Policies, verdict: PartialVerdict, clauses: set[PartialStatement]) -> None:
    assert answer(policies) == PartialDecision(verdict, frozenset(clauses), frozenset())


def test_a_trust_policy_may_depend() -> None:
    trust = named(Kind.TRUST, grant({"AWS": user().arn}, action="sts:AssumeRole", Condition=NETWORK))
    request = ask(user(), "sts:AssumeRole", f"arn:aws:iam::{OWNER}:role/ci", KNOWN)
    found = PartialEvaluator().ask(request, Policies(trust=trust), UNKNOWN)
    assert found == PartialDecision(DEPENDS, frozenset({clause("trust", INSIDE, strength=3)}), frozenset())


def test_before_2012_what_looks_like_a_variable_may_depend_too() -> None:
    assert answer(identity(right(resource=OF_TEAM), version="2008-10-17")).verdict is DEPENDS


def test_what_the_context_holds_is_known() -> None:
    policies = identity(right(Condition={"StringEquals": {"aws:UserName": "alice"}}))
    assert answer(policies, unknown=UnknownKeys(frozenset({"aws:username"}))).verdict is YES
    assert answer(policies, unknown=UnknownKeys(others=True)).verdict is YES


def test_every_other_key_may_be_unknown() -> None:
    policies = identity(right(Condition={"StringEquals": {"aws:PrincipalTag/Stage": "red"}}))
    assert answer(policies, unknown=UnknownKeys(others=True)).verdict is DEPENDS


def test_roots_nature_alone_allows() -> None:
    assert answer(Policies(), root()) == PartialDecision(YES, frozenset(), frozenset(), root=True)
    assert not answer(Policies(resource=named(Kind.REPOSITORY, grant("*"))), user(OTHER)).root


@pytest.mark.parametrize("name", ["identity", "boundary", "session", "scp", "rcp"])
def test_a_set_of_which_nothing_is_known_may_allow(name: SetName) -> None:
    known: dict[str, Any] = {"identity": named(Kind.IDENTITY, right())} if name != "identity" else {}
    found = answer(Policies(**known), open_sets=frozenset({name}))
    assert found == PartialDecision(DEPENDS, frozenset(map(clause, known)), frozenset({name}))  # type: ignore[arg-type]


def test_what_comes_after_a_set_of_which_nothing_is_known_counts_as_well() -> None:
    found = answer(Policies(session=named(Kind.SESSION, right(Condition=NETWORK))), open_sets=frozenset({"identity"}))
    assert found == PartialDecision(DEPENDS, frozenset({clause("session", INSIDE)}), frozenset({"identity"}))


def test_policies_of_one_set_are_told_apart() -> None:
    first, second = named(Kind.IDENTITY, right(Condition=NETWORK)), named(Kind.IDENTITY, right())
    both = Policies(identity=[Named("first", "", first[0].document), Named("second", "", second[0].document)])
    found = answer(both)
    assert found.clauses == {clause("identity", INSIDE, policy="first"), clause("identity", policy="second")}


def test_the_clauses_that_make_it_depend_are_in_order() -> None:
    late, early = UnknownCondition("Bool", "aws:b", ("true",)), UnknownCondition("Bool", "aws:a", ("true",))
    ordered = (
        clause("identity", late, allows=False, policy="a"),
        clause("identity", early, policy="a"),
        clause("identity", late, policy="a"),
        clause("identity", early, policy="b"),
    )
    found = PartialDecision(DEPENDS, frozenset({*reversed(ordered), clause("identity", policy="a")}), frozenset())
    assert found.conditions() == ordered


def depends(*clauses: PartialStatement, open_sets: frozenset[SetName] = frozenset()) -> PartialDecision:
    return PartialDecision(DEPENDS, frozenset(clauses), open_sets)


OUTSIDE = UnknownCondition("NotIpAddress", "aws:SourceIp", ("10.0.0.0/8",))
IN = clause("resource", INSIDE, strength=3)
DENY = clause("resource", INSIDE, allows=False)


@pytest.mark.parametrize(
    ("before", "after", "exceeds"),
    [
        (PartialDecision(NO, frozenset(), frozenset()), depends(IN), True),
        (depends(IN), PartialDecision(NO, frozenset(), frozenset()), False),
        (depends(IN), PartialDecision(YES, frozenset({IN}), frozenset()), True),
        (PartialDecision(YES, frozenset({IN}), frozenset()), depends(IN), False),
        (PartialDecision(YES, frozenset(), frozenset()), depends(IN), False),
        (PartialDecision(NO, frozenset(), frozenset()), PartialDecision(NO, frozenset(), frozenset()), False),
        (depends(IN), depends(IN), False),
        # An Allow must have been there, in the same set, as strong, and on no more conditions.
        (depends(IN), depends(IN, clause("resource", OUTSIDE, strength=3)), True),
        (depends(IN), depends(clause("resource", INSIDE, OUTSIDE, strength=3)), False),
        (depends(clause("resource", INSIDE, OUTSIDE, strength=3)), depends(IN), True),
        (depends(IN), depends(clause("resource", INSIDE, strength=2)), False),
        (depends(IN), depends(clause("resource", INSIDE, strength=4)), True),
        (depends(IN), depends(clause("identity", INSIDE, strength=3)), True),
        (depends(clause("scp", INSIDE)), depends(clause("scp", INSIDE, level=1)), True),
        (depends(IN), depends(clause("resource", INSIDE, strength=3, policy="renamed")), False),
        # A Deny must still be there, and on no more conditions.
        (depends(IN, DENY), depends(IN), True),
        (depends(IN), depends(IN, DENY), False),
        (depends(IN, DENY), depends(IN, clause("resource", INSIDE, OUTSIDE, allows=False)), True),
        (depends(IN, clause("resource", INSIDE, OUTSIDE, allows=False)), depends(IN, DENY), False),
        # What is not known at all must not have been known before.
        (depends(IN), depends(IN, open_sets=frozenset({"identity"})), True),
        (depends(IN, open_sets=frozenset({"identity"})), depends(IN), False),
    ],
)
def test_whether_an_answer_may_allow_more_than_one_before(
    before: PartialDecision, after: PartialDecision, exceeds: bool
) -> None:
    assert after.may_exceed(before) is exceeds
