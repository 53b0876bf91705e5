"""A decision as plain data: the shape of docs/development/policy-engine.md §7.1, and what of it is hidden from whom."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from moorage.policy import ANONYMOUS, Decision, Kind, Named, Policies, context_values, evaluate, explain, parse
from moorage.policy.analysis.explain import SETS
from tests.policy.build import ACTION, ARN, OTHER, OWNER, ask, attached, grant, named, right, role, user

INSIDE = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.9"]}}
EVERYTHING = frozenset(SETS)


def explanation(
    decision: Decision, policies: Policies, visible: frozenset[str], texts: Callable[[Named], str]
) -> dict[str, Any]:
    """The explanation as its JSON says it."""
    found = explain(decision, policies, visible, texts)  # type: ignore[arg-type]
    return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])


def told(policies: Policies, visible: frozenset[str] = EVERYTHING) -> dict[str, object]:
    request = ask(user(OTHER), context={"aws:sourceip": "192.0.2.1"})
    decision = evaluate(request, policies, detail=True)
    found = explanation(decision, policies, visible, lambda one: one.document.text)
    assert json.loads(json.dumps(found)) == found
    return found


def test_the_whole_shape() -> None:
    resource = named(Kind.REPOSITORY, grant({"AWS": OTHER}, Sid="Inside", Condition=INSIDE), grant({"AWS": OWNER}))
    found = told(
        Policies(identity=attached(Kind.IDENTITY, "y"), resource=resource, scp=[attached(Kind.SCP, "y") or []])
    )
    assert found["decision"] == "DENY"
    assert (found["kind"], found["decidedBy"], found["rule"]) == ("implicit", "resource", "6-no-resource-grant")
    assert found["reason"] == "resource: no statement allows it"
    assert str(found["message"]).endswith(f"because no resource-based policy allows the {ACTION} action")
    assert found["request"] == {
        "principal": {
            "arn": user(OTHER).arn,
            "roleArn": None,
            "id": user().id,
            "type": "user",
            "account": OTHER,
        },
        "action": ACTION,
        "resource": ARN,
        "resourceAccount": OWNER,
        "sameAccount": False,
        "crossAccount": True,
    }
    sets = {each["set"]: each for each in found["sets"]}  # type: ignore[attr-defined]
    assert list(sets) == [name for name in SETS if name != "trust"]  # told only where a role is taken on
    assert sets["boundary"] == {
        "set": "boundary",
        "called": "permissions boundary",
        "present": False,
        "result": None,
        "policies": [],
    }
    assert (sets["scp"]["level"], sets["scp"]["result"]) == (0, "allow")
    (policy,) = sets["resource"]["policies"]
    inside, second = policy["statements"]
    assert (inside["sid"], inside["matched"], inside["firstFailed"]) == ("Inside", False, "condition")
    assert inside["conditions"] == [
        {
            "operator": "IpAddress",
            "key": "aws:SourceIp",
            "policyValues": ["10.0.0.0/8", "203.0.113.9"],
            "resolvedValues": ["10.0.0.0/8", "203.0.113.9"],
            "contextValues": ["192.0.2.1"],
            "keyPresent": True,
            "matched": False,
            "because": "no-value-matched",
        }
    ]
    assert inside["span"]["line"] == 1
    assert second["statement"] == grant({"AWS": OWNER})
    assert second["principal"] == {"matched": False, "kind": None}


def test_an_allowed_request_to_the_last_member() -> None:
    condition = {"StringEquals": {"aws:username": "${aws:none}", "aws:a": ["${aws:username}"]}}
    policies = Policies(
        identity=named(Kind.IDENTITY, right(Sid="Mine", Condition=condition), version="2012-10-17"),
        resource=named(Kind.REPOSITORY, grant({"AWS": role().arn}, Sid="Ours"), version=None),
        scp=[named(Kind.SCP, right()), named(Kind.SCP, right())],
        rcp=[named(Kind.RCP, {**right(), "Principal": "*"})],
    )
    request = ask(role(), context={"aws:username": "alice"})
    decision = evaluate(request, policies, detail=True)
    found = explanation(decision, policies, EVERYTHING, lambda one: one.document.text)

    def policy(name: str, version: str | None, *statements: dict[str, object]) -> dict[str, object]:
        return {"name": name, "hash": "hash", "version": version, "statements": list(statements)}

    def statement(written: dict[str, object], column: int, **differing: object) -> dict[str, object]:
        return {
            "index": 0,
            "sid": None,
            "effect": "Allow",
            "matched": True,
            "firstFailed": None,
            "principal": {"matched": None, "kind": None},
            "action": {"matched": True},
            "resource": {"matched": True},
            "conditions": [],
            "statement": written,
            "span": {"line": 1, "column": column},
            **differing,
        }

    column = '{"Version": "2012-10-17", "Statement": [{'.index("[{") + 2
    guard_rail = policy("scp", "2012-10-17", statement(right(), column))
    conditions = [
        {
            "operator": "StringEquals",
            "key": "aws:username",
            "policyValues": ["${aws:none}"],
            "resolvedValues": [None],
            "contextValues": ["alice"],
            "keyPresent": True,
            "matched": False,
            "because": "variable-unresolved",
        },
        {
            "operator": "StringEquals",
            "key": "aws:a",
            "policyValues": ["${aws:username}"],
            "resolvedValues": ["alice"],
            "contextValues": None,
            "keyPresent": False,
            "matched": False,
            "because": "key-missing",
        },
    ]
    mine = statement(
        right(Sid="Mine", Condition=condition),
        column,
        sid="Mine",
        matched=False,
        firstFailed="condition",
        conditions=conditions,
    )
    ours = statement(
        grant({"AWS": role().arn}, Sid="Ours"),
        '{"Statement": [{'.index("[{") + 2,
        sid="Ours",
        principal={"matched": True, "kind": "direct"},
        resource={"matched": None},
    )
    everyone = statement({**right(), "Principal": "*"}, column, principal={"matched": True, "kind": "any"})
    absent: dict[str, object] = {"present": False, "result": None, "policies": []}
    assert found == {
        "decision": "ALLOW",
        "kind": None,
        "decidedBy": "resource",
        "decidedIn": "repository policy",
        "rule": "5a-direct-resource-grant",
        "reason": "resource: allowed by statement 'Ours'",
        "message": None,
        "request": {
            "principal": {
                "arn": role().arn,
                "roleArn": role().role_arn,
                "id": role().id,
                "type": "role",
                "account": OWNER,
            },
            "action": ACTION,
            "resource": ARN,
            "resourceAccount": OWNER,
            "sameAccount": True,
            "crossAccount": False,
        },
        "sets": [
            {
                "set": "identity",
                "called": "identity policies",
                "present": True,
                "result": "none",
                "policies": [policy("identity", "2012-10-17", mine)],
            },
            {"set": "boundary", "called": "permissions boundary", **absent},
            {"set": "session", "called": "session policy", **absent},
            {
                "set": "scp",
                "called": "service control policies",
                "present": True,
                "result": "allow",
                "level": 0,
                "policies": [guard_rail],
            },
            {
                "set": "scp",
                "called": "service control policies",
                "present": True,
                "result": "allow",
                "level": 1,
                "policies": [guard_rail],
            },
            {
                "set": "rcp",
                "called": "resource control policies",
                "present": True,
                "result": "allow",
                "level": 0,
                "grant": "any",
                "policies": [policy("rcp", "2012-10-17", everyone)],
            },
            {
                "set": "resource",
                "called": "repository policy",
                "present": True,
                "result": "allow",
                "grant": "direct",
                "policies": [policy("repository", None, ours)],
            },
        ],
        "missingContext": [],
    }


def test_an_anonymous_caller_crosses_no_account() -> None:
    policies = Policies(identity=named(Kind.IDENTITY, right()), resource=named(Kind.REPOSITORY, grant("*")))
    found = explanation(
        evaluate(ask(ANONYMOUS), policies, detail=True), policies, EVERYTHING, lambda one: one.document.text
    )
    assert found["request"]["principal"]["account"] is None
    assert (found["request"]["sameAccount"], found["request"]["crossAccount"]) == (False, False)
    assert [each["set"] for each in found["sets"]] == ["rcp", "resource"]  # it has no policies of its own


def test_policies_are_called_what_they_are() -> None:
    registry = named(Kind.REGISTRY, right("Deny", Principal="*"))
    both = Policies(identity=attached(Kind.IDENTITY, "y"), resource=[*named(Kind.REPOSITORY, grant("*")), *registry])
    found = told(both)
    assert found["decidedIn"] == "registry policy"
    called = {each["set"]: each["called"] for each in found["sets"]}  # type: ignore[attr-defined]
    assert called["resource"] == "repository and registry policies"
    hidden = told(both, frozenset({"identity"}))  # the reader must not learn which of them it is, nor which there are
    assert hidden["decidedIn"] == "repository or registry policy"
    assert {"set": "resource", "called": "repository policy", "hidden": True} in hidden["sets"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("ecr:GetAuthorizationToken", "*", "registry policy"),
        ("ecr:CreateRepository", ARN, "registry policy"),
        ("ecr:DescribeRepositories", f"arn:aws:ecr:us-east-1:{OWNER}:repository/*", "registry policy"),
        ("moorage:Purge", ARN, "repository policy"),
        ("iam:GetUser", user().arn, None),
        ("sts:GetFederationToken", "*", None),
        ("moorage:ReadAudit", f"arn:aws:moorage::{OWNER}:audit", None),
    ],
)
def test_only_sets_that_there_can_be_are_hidden(action: str, resource: str, expected: str | None) -> None:
    policies = Policies(identity=[])
    decision = evaluate(ask(user(), action, resource), policies, detail=True)
    found = explanation(decision, policies, frozenset({"identity"}), lambda one: one.document.text)
    called = {each["set"]: each["called"] for each in found["sets"]}
    assert called.get("resource") == expected
    assert "trust" not in called


@pytest.mark.parametrize(
    ("action", "resource", "policies", "expected"),
    [
        # Only the registry's policy can apply, so its name reveals nothing.
        (
            "ecr:GetAuthorizationToken",
            "*",
            Policies(resource=named(Kind.REGISTRY, right("Deny", Principal="*"))),
            "registry policy",
        ),
        # An implicit denial comes from neither of them in particular.
        ("ecr:BatchGetImage", ARN, Policies(identity=named(Kind.IDENTITY, right())), "repository policy"),
        ("ecr:BatchGetImage", ARN, Policies(identity=[], scp=[[]]), "service control policies"),
        (
            "ecr:BatchGetImage",
            ARN,
            Policies(identity=named(Kind.IDENTITY, right()), rcp=[[]]),
            "resource control policies",
        ),
    ],
)
def test_what_the_deciding_policies_are_called_if_they_are_hidden(
    action: str, resource: str, policies: Policies, expected: str
) -> None:
    decision = evaluate(ask(user(OTHER), action, resource), policies, detail=True)
    found = explanation(decision, policies, frozenset({"identity"}), lambda one: one.document.text)
    assert found["decidedIn"] == expected


def test_hidden_sets_are_said_to_be_hidden_and_hide_the_missing_keys() -> None:
    condition = {"StringEquals": {"aws:a": "b"}}
    policies = Policies(
        identity=named(Kind.IDENTITY, right(Condition=condition)),
        resource=named(Kind.REPOSITORY, grant({"AWS": OTHER}, Condition={"StringEquals": {"aws:c": "d"}})),
    )
    everything, exact, theirs = (
        told(policies, visible)
        for visible in (EVERYTHING, frozenset({"identity", "resource"}), frozenset({"resource"}))
    )
    assert everything["missingContext"] == exact["missingContext"] == ["aws:c", "aws:a"]
    assert theirs["missingContext"] == []
    assert theirs["sets"][0] == {"set": "identity", "called": "identity policies", "hidden": True}  # type: ignore[index]
    assert theirs["kind"] == "implicit"


def test_reasons_that_name_no_statement() -> None:
    allowed = Policies(identity=named(Kind.IDENTITY, right()), resource=named(Kind.REPOSITORY, grant({"AWS": OTHER})))
    assert told(allowed, frozenset({"identity"}))["reason"] == "resource: allowed"
    denied = Policies(resource=named(Kind.REPOSITORY, grant("*", "Deny")))
    found = told(denied, frozenset())
    assert (found["kind"], found["reason"]) == ("explicit", "resource: explicit deny")


def test_what_may_not_be_read_is_not_told() -> None:
    policies = Policies(
        identity=named(Kind.IDENTITY, right("Deny", Sid="SecretName")),
        resource=named(Kind.REPOSITORY, grant({"AWS": OTHER}, Sid="OtherName")),
    )
    theirs = told(policies, frozenset({"resource", "rcp"}))
    assert "SecretName" not in json.dumps(theirs)
    assert "OtherName" in json.dumps(theirs)
    assert theirs["reason"] == "identity: explicit deny"
    assert told(policies, frozenset({"identity"}))["reason"] == "identity: explicit deny by statement 'SecretName'"


def test_spans_are_lines_and_columns_of_the_text() -> None:
    text = named(Kind.REPOSITORY, grant({"AWS": OTHER}), grant("*"))[0].document.canonical()
    policies = Policies(resource=named(Kind.REPOSITORY, grant({"AWS": OTHER}), grant("*")))
    decision = evaluate(ask(role()), policies, detail=True)
    found = explanation(decision, policies, EVERYTHING, lambda _one: text)
    spans = [each["span"] for each in found["sets"][-1]["policies"][0]["statements"]]
    for span in spans:
        assert text.splitlines()[span["line"] - 1][span["column"] - 1] == "{"
    assert spans[0]["line"] < spans[1]["line"]


def test_the_span_of_a_lone_statement_after_an_empty_line() -> None:
    document = parse('\n{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*"}}', Kind.REPOSITORY)
    policies = Policies(resource=[Named("r", "", document)])
    found = explanation(
        evaluate(ask(role()), policies, detail=True), policies, EVERYTHING, lambda one: one.document.text
    )
    (statement,) = found["sets"][-1]["policies"][0]["statements"]
    assert statement["span"] == {"line": 2, "column": 15}
    assert statement["statement"] == {"Effect": "Allow", "Principal": "*", "Action": "*"}


def test_a_decision_without_details_tells_none() -> None:
    policies = Policies(identity=named(Kind.IDENTITY, right(Condition=INSIDE)))
    found = explanation(evaluate(ask(role()), policies), policies, EVERYTHING, lambda one: one.document.text)
    (statement,) = found["sets"][0]["policies"][0]["statements"]
    assert (statement["principal"], statement["action"]) == ({"matched": None, "kind": None}, {"matched": False})
    assert (statement["resource"], statement["conditions"]) == ({"matched": None}, [])


def test_context_says_where_values_come_from() -> None:
    values: dict[str, str | tuple[str, ...]] = {
        "aws:sourceip": "10.0.0.1",
        "aws:epochtime": "1",
        "aws:principaltag/team": "red",
        "aws:resourcetag/team": "red",
        "aws:tagkeys": ("a", "b"),
    }
    assert [(each.key, each.values, each.source) for each in context_values(values)] == [
        ("aws:epochtime", ["1"], "clock"),
        ("aws:principaltag/team", ["red"], "credential"),
        ("aws:resourcetag/team", ["red"], "resource"),
        ("aws:sourceip", ["10.0.0.1"], "connection"),
        ("aws:tagkeys", ["a", "b"], "request"),
    ]
