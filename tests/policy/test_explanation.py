"""A decision as plain data: the shape of policy-engine.md §7.1, and what of it is hidden from whom."""

import json

from moorage.policy import Kind, Policies, evaluate, explanation, told_context
from moorage.policy.explanation import SETS
from tests.policy.build import ACTION, ARN, OTHER, OWNER, ask, attached, grant, named, right, role, user

INSIDE = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.9"]}}
EVERYTHING = frozenset(SETS)


def told(policies: Policies, visible: frozenset[str] = EVERYTHING) -> dict[str, object]:
    request = ask(user(OTHER), context={"aws:sourceip": "192.0.2.1"})
    decision = evaluate(request, policies, detail=True)
    found = explanation(decision, policies, visible, lambda one: one.document.text)  # type: ignore[arg-type]
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
    assert list(sets) == list(SETS)
    assert sets["boundary"] == {"set": "boundary", "present": False, "result": None, "policies": []}
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
    found = explanation(decision, policies, EVERYTHING, lambda one: text)
    spans = [each["span"] for each in found["sets"][-1]["policies"][0]["statements"]]
    for span in spans:
        assert text.splitlines()[span["line"] - 1][span["column"] - 1] == "{"
    assert spans[0]["line"] < spans[1]["line"]


def test_context_says_where_values_come_from() -> None:
    values: dict[str, str | tuple[str, ...]] = {
        "aws:sourceip": "10.0.0.1",
        "aws:epochtime": "1",
        "aws:principaltag/team": "red",
        "aws:resourcetag/team": "red",
        "aws:tagkeys": ("a", "b"),
    }
    assert [(each["key"], each["values"], each["source"]) for each in told_context(values)] == [
        ("aws:epochtime", ["1"], "clock"),
        ("aws:principaltag/team", ["red"], "credential"),
        ("aws:resourcetag/team", ["red"], "resource"),
        ("aws:sourceip", ["10.0.0.1"], "connection"),
        ("aws:tagkeys", ["a", "b"], "request"),
    ]
