"""Requests that cannot be read, and what a trace tells; the decisions themselves are in the corpus."""

import pytest

from moorage.policy import Decision, Finding, Kind, Policies, Principal, Request, evaluate
from tests.policy.build import (
    ARN,
    OTHER,
    OWNER,
    ask,
    grant,
    named,
    right,
    root,
    user,
)


@pytest.mark.parametrize(
    "broken",
    [
        Request(Principal("wizard", OWNER, "", ""), "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]  # that is the case
        Request(Principal("user", OWNER, [], ""), "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]  # that is the case
        Request(root(), None, ARN, OWNER, {}),  # type: ignore[arg-type]  # that is the case
        Request(root(), "ecr:PutImage", 7, OWNER, {}),  # type: ignore[arg-type]  # that is the case
        Request(root(), "ecr:PutImage", ARN, OWNER, None),  # type: ignore[arg-type]  # that is the case
        Request(None, "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]  # that is the case
        Request(root(), "ecr:PutImage", ARN, OWNER, {"aws:sourceip": 7}),  # type: ignore[dict-item]  # that is the case
        Request(root(), "ecr:PutImage", ARN, OWNER, {"aws:sourceip": (7,)}),  # type: ignore[dict-item]  # that is the case
        Request(root(), "ecr:PutImage", ARN, OWNER, {"aws:sourceip": ["10.0.0.1"]}),  # type: ignore[dict-item]  # that is the case
    ],
)
def test_what_cannot_be_read_is_denied(broken: Request) -> None:
    deny = grant("*", "Deny", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    decision = evaluate(broken, Policies(resource=named(Kind.REPOSITORY, deny)))
    assert decision == Decision(broken, False, False, "request", "0-unfit-request", ())


def test_the_explanation_of_a_value_that_was_not_needed_decides_nothing() -> None:
    identity = named(
        Kind.IDENTITY,
        right(action="s3:*", Condition={"StringEquals": {"aws:a": "1"}}),
        right(Condition={"StringEquals": {"aws:b": "1"}}),
    )
    request = ask(user(), context={"aws:a": 7, "aws:b": "1"})  # type: ignore[dict-item]  # that is the case
    plain, detailed = (evaluate(request, Policies(identity=identity), detail=detail) for detail in (False, True))
    assert plain.allowed
    assert (detailed.allowed, detailed.rule) == (plain.allowed, plain.rule)
    detail = detailed.trace[0].policies[0].statements[0].detail
    assert detail is not None
    (test,) = detail.conditions
    assert (test.matched, test.because, test.context_values) == (False, "type-unparsable", None)


def test_the_trace_names_the_first_element_that_failed() -> None:
    resource = named(
        Kind.REPOSITORY,
        grant({"AWS": OTHER}),
        grant("*", action="ecr:PutImage"),
        grant("*", Condition={"StringEquals": {"aws:PrincipalTag/Team": "a"}}),
        grant("*"),
    )
    decision = evaluate(ask(user()), Policies(resource=resource))
    findings = decision.trace[0].policies[0].statements
    assert [finding.first_failed for finding in findings] == ["principal", "action", "condition", None]
    assert (findings[2].operator, findings[2].key, findings[2].because) == (
        "StringEquals",
        "aws:PrincipalTag/Team",
        "key-missing",
    )
    assert findings[3].strength == "any"
    assert decision.missing_keys() == ("aws:PrincipalTag/Team",)


def test_a_finding_names_its_statement_whatever_failed() -> None:
    deny = grant("*", "Deny", Sid="deny", Resource="*")
    registry = named(
        Kind.REGISTRY,
        {**deny, "Principal": {"AWS": OTHER}},
        {**deny, "Action": "ecr:PutImage"},
        {**deny, "Resource": f"{ARN}/below"},
        {**deny, "Condition": {"StringEquals": {"aws:a": "1"}}},
        deny,
    )
    findings = evaluate(ask(user()), Policies(resource=registry)).trace[0].policies[0].statements
    assert findings == (
        Finding(0, "deny", "Deny", matched=False, first_failed="principal"),
        Finding(1, "deny", "Deny", matched=False, first_failed="action"),
        Finding(2, "deny", "Deny", matched=False, first_failed="resource"),
        Finding(
            3,
            "deny",
            "Deny",
            matched=False,
            first_failed="condition",
            operator="StringEquals",
            key="aws:a",
            because="key-missing",
        ),
        Finding(4, "deny", "Deny", matched=True, strength="any"),
    )


def test_a_statement_with_a_principal_says_nothing_among_identity_policies() -> None:
    decision = evaluate(ask(user()), Policies(identity=named(Kind.REPOSITORY, grant("*"))))
    assert not decision.allowed
    assert decision.trace[0].policies[0].statements[0].first_failed == "principal"


def test_no_statement_decided_what_one_level_of_many_does_not_allow() -> None:
    levels = [named(Kind.SCP, right()), named(Kind.SCP, right(action="s3:*"))]
    decision = evaluate(ask(user()), Policies(identity=named(Kind.IDENTITY, right()), scp=levels))
    assert (decision.allowed, decision.decided_by) == (False, "scp")
    assert decision.deciding_statement() is None


def test_before_2012_the_detail_shows_a_variable_as_text() -> None:
    allow = right(Condition={"StringEquals": {"aws:userid": "${aws:username}"}})
    identity = named(Kind.IDENTITY, allow, version="2008-10-17")
    request = ask(user(), context={"aws:username": "alice", "aws:userid": "alice"})
    detail = evaluate(request, Policies(identity=identity), detail=True).trace[0].policies[0].statements[0].detail
    assert detail is not None
    (test,) = detail.conditions
    assert (test.matched, test.resolved_values) == (False, ("${aws:username}",))


def test_detail_shows_every_element_with_resolved_values() -> None:
    allow = right(
        action="ecr:PutImage",
        Condition={"StringEquals": {"aws:userid": ["${aws:username}", "${aws:none}"], "aws:x": "y"}},
    )
    request = ask(user(), context={"aws:username": "alice", "aws:userid": "alice"})
    decision = evaluate(request, Policies(identity=named(Kind.IDENTITY, allow)), detail=True)
    detail = decision.trace[0].policies[0].statements[0].detail
    assert detail is not None
    assert (detail.principal, detail.action, detail.resource) == (None, False, True)
    first, second = detail.conditions
    assert (first.matched, first.resolved_values, first.context_values) == (True, ("alice", None), ("alice",))
    assert (second.matched, second.because, second.context_values) == (False, "key-missing", None)
