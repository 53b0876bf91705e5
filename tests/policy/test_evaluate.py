"""The truth tables of policy-engine.md §2.6, and the combinations around them."""

import pytest

from moorage.policy import ANONYMOUS, Kind, Policies, Principal, Request, evaluate
from tests.policy.build import (
    ARN,
    OTHER,
    OWNER,
    ask,
    attached,
    federated,
    grant,
    named,
    policies,
    right,
    role,
    root,
    user,
)

ACCOUNT = {"AWS": OWNER}
USER = {"AWS": user().arn}
ROLE = {"AWS": str(role().role_arn)}
SESSION = {"AWS": role().arn}
FEDERATED = {"AWS": federated().arn}

SAME_ACCOUNT = [
    (user(), None, "y--", None),
    (user(), None, "n--", "identity"),
    (user(), None, "yn-", "boundary"),
    (user(), USER, "n--", None),
    (user(), USER, "nn-", None),
    (user(), {"AWS": user().id}, "nn-", None),
    (user(), "*", "nn-", None),
    (user(), ACCOUNT, "n--", "identity"),
    (user(), ACCOUNT, "---", "identity"),
    (user(), ACCOUNT, "yn-", "boundary"),
    (role(), ROLE, "n--", None),
    (role(), {"AWS": str(role().role_id)}, "n--", None),
    (role(), ROLE, "nn-", "boundary"),
    (role(), ROLE, "nyn", "session"),
    (role(), ROLE, "yyn", "session"),
    (role(), SESSION, "nnn", None),
    (role(), None, "y-n", "session"),
    (federated(), USER, "nny", "boundary"),
    (federated(), USER, "n-y", None),
    (federated(), FEDERATED, "nnn", None),
    (federated(), None, "y--", "session"),
    (root(), None, "---", None),
]


@pytest.mark.parametrize(("caller", "names", "marks", "stopped_by"), SAME_ACCOUNT)
def test_same_account(caller: Principal, names: object, marks: str, stopped_by: str | None) -> None:
    decision = evaluate(ask(caller), policies(names, *marks))
    assert decision.allowed is (stopped_by is None)
    if stopped_by is not None:
        assert decision.decided_by == stopped_by
        assert not decision.explicit


@pytest.mark.parametrize(
    "names",
    [
        {"AWS": OTHER},
        {"AWS": f"arn:aws:iam::{OTHER}:root"},
        {"AWS": str(role(OTHER).role_arn)},
        {"AWS": role(OTHER).arn},
        "*",
    ],
)
@pytest.mark.parametrize(
    ("marks", "stopped_by"), [("n--", "identity"), ("y--", None), ("yn-", "boundary"), ("y-n", "session")]
)
def test_cross_account_needs_both_sides(names: object, marks: str, stopped_by: str | None) -> None:
    decision = evaluate(ask(role(OTHER)), policies(names, *marks))
    assert decision.allowed is (stopped_by is None)
    assert decision.decided_by == (stopped_by or "resource")


def test_cross_account_without_a_grant_is_the_resource_sides_denial() -> None:
    for marks in ("y--", "n--"):
        decision = evaluate(ask(user(OTHER)), policies(None, *marks))
        assert (decision.allowed, decision.decided_by) == (False, "resource")


def test_root_of_another_account_needs_only_the_grant() -> None:
    assert not evaluate(ask(root(OTHER)), policies(None)).allowed
    assert evaluate(ask(root(OTHER)), policies({"AWS": OTHER})).allowed


def test_a_deny_stops_root() -> None:
    decision = evaluate(ask(root()), Policies(resource=named(Kind.REPOSITORY, grant("*", "Deny"))))
    assert (decision.allowed, decision.explicit, decision.decided_by) == (False, True, "resource")


def test_anonymous_only_through_a_star() -> None:
    assert evaluate(ask(ANONYMOUS), policies("*")).allowed
    assert evaluate(ask(ANONYMOUS), policies({"AWS": ["*"]})).allowed
    assert not evaluate(ask(ANONYMOUS), policies({"AWS": OWNER})).allowed
    assert not evaluate(ask(ANONYMOUS), policies(None, "y")).allowed


def test_a_service_needs_to_be_named() -> None:
    service = Principal("service", "", "replication.ecr.amazonaws.com", "replication.ecr.amazonaws.com")
    assert evaluate(ask(service), policies({"Service": service.arn})).allowed
    assert not evaluate(ask(service), policies({"Service": "other.amazonaws.com"})).allowed
    assert not evaluate(ask(user()), policies({"Service": service.arn}, "n")).allowed


@pytest.mark.parametrize("set_name", ["identity", "boundary", "session", "resource", "scp"])
def test_a_deny_in_any_set_wins(set_name: str) -> None:
    deny: object = named(Kind.IDENTITY, right(), right("Deny", "ecr:Batch*"))
    if set_name == "resource":
        deny = named(Kind.REPOSITORY, grant("*", "Deny"))
    if set_name == "scp":
        deny = [deny]
    given = {"identity": attached(Kind.IDENTITY, "y"), set_name: deny}
    decision = evaluate(ask(role()), Policies(**given))  # type: ignore[arg-type]
    assert (decision.allowed, decision.explicit, decision.decided_by) == (False, True, set_name)


def test_every_scp_and_rcp_level_must_allow() -> None:
    allows, silent = named(Kind.SCP, right()), named(Kind.SCP, right(action="s3:*"))
    identity = attached(Kind.IDENTITY, "y")
    assert evaluate(ask(user()), Policies(identity=identity, scp=[allows, allows])).allowed
    decision = evaluate(ask(root()), Policies(identity=identity, scp=[allows, silent]))
    assert (decision.allowed, decision.decided_by) == (False, "scp")
    rcp = named(Kind.RCP, {**right(action="s3:*"), "Principal": "*"})
    decision = evaluate(ask(user()), Policies(identity=identity, rcp=[rcp]))
    assert (decision.allowed, decision.decided_by) == (False, "rcp")


def test_not_principal_spares_whom_it_lists_unless_a_boundary_is_attached() -> None:
    deny = named(Kind.REPOSITORY, {"Effect": "Deny", "NotPrincipal": USER, "Action": "ecr:*"})
    identity, boundary = attached(Kind.IDENTITY, "y"), attached(Kind.BOUNDARY, "y")
    assert evaluate(ask(user()), Policies(identity=identity, resource=deny)).allowed
    assert not evaluate(ask(user(name="eve")), Policies(identity=identity, resource=deny)).allowed
    assert not evaluate(ask(user()), Policies(identity=identity, resource=deny, boundary=boundary)).allowed


def test_allow_with_not_principal_lets_everyone_else_in() -> None:
    allow = named(Kind.REPOSITORY, {"Effect": "Allow", "NotPrincipal": USER, "Action": "ecr:*"})
    assert evaluate(ask(ANONYMOUS), Policies(resource=allow)).allowed
    assert not evaluate(ask(user()), Policies(resource=allow)).allowed


def test_a_role_of_the_same_name_on_another_path_is_another_role() -> None:
    assert not evaluate(ask(role()), policies({"AWS": f"arn:aws:iam::{OWNER}:role/builder"}, "n")).allowed


@pytest.mark.parametrize(
    ("action", "covered"),
    [
        ("ecr:BatchGetImage", True),
        ("ECR:batchgetimage", True),
        ("ecr:Batch*", True),
        ("ecr:BatchGetImag?", True),
        ("ecr:BatchGetImage?", False),
        ("*", True),
        ("*:*", True),
        ("e*:BatchGetImage", False),
        ("ecr:BatchGetImage ", False),
        ("ecr: BatchGetImage", False),
        ("ecr:", False),
        ("ecr:BatchGetImage,ecr:PutImage", False),
    ],
)
def test_actions(action: str, covered: bool) -> None:
    assert evaluate(ask(user()), Policies(identity=named(Kind.IDENTITY, right(action=action)))).allowed is covered
    not_action = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
    assert evaluate(ask(user()), Policies(identity=named(Kind.IDENTITY, not_action))).allowed is not covered


@pytest.mark.parametrize(
    ("resource", "covered"),
    [
        (ARN, True),
        ("*", True),
        (f"arn:aws:ecr:us-east-1:{OWNER}:repository/*", True),
        (f"arn:aws:ecr:*:{OWNER}:repository/team/???", True),
        (f"arn:*:*:*:*:*{'pp'}", True),
        ("arn:aws:ecr:*", True),
        (f"arn:aws:ecr:us-*:{OWNER}:repository/team", False),
        (f"arn:aws:ecr:*:{OTHER}:repository/*", False),
        ("arn:aws:*/app", False),
        (f"arn:aws:ecr:us-east-1:{OWNER}:Repository/team/app", False),
    ],
)
def test_resources(resource: str, covered: bool) -> None:
    allow = named(Kind.IDENTITY, right(resource=resource))
    assert evaluate(ask(user()), Policies(identity=allow)).allowed is covered
    others = named(Kind.IDENTITY, {"Effect": "Allow", "Action": "*", "NotResource": resource})
    assert evaluate(ask(user()), Policies(identity=others)).allowed is not covered


@pytest.mark.parametrize(("resource", "covered"), [("*", True), ("**", True), (ARN, False), ("arn:aws:ecr:*", False)])
def test_an_action_without_a_resource_needs_a_star(resource: str, covered: bool) -> None:
    allow = named(Kind.IDENTITY, right(resource=resource))
    request = ask(user(), "ecr:GetAuthorizationToken", "*")
    assert evaluate(request, Policies(identity=allow)).allowed is covered


def test_a_registry_policy_speaks_only_of_its_resources() -> None:
    deny = grant("*", "Deny", Resource=f"arn:aws:ecr:us-east-1:{OWNER}:repository/prod/*")
    registry = named(Kind.REGISTRY, deny)
    identity = attached(Kind.IDENTITY, "y")
    assert evaluate(ask(user()), Policies(identity=identity, resource=registry)).allowed
    request = ask(user(), resource=f"arn:aws:ecr:us-east-1:{OWNER}:repository/prod/app")
    assert evaluate(request, Policies(identity=identity, resource=registry)).explicit


@pytest.mark.parametrize(
    "broken",
    [
        Request(Principal("wizard", OWNER, "", ""), "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]
        Request(Principal("user", OWNER, [], ""), "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]
        Request(root(), None, ARN, OWNER, {}),  # type: ignore[arg-type]
        Request(root(), "ecr:PutImage", 7, OWNER, {}),  # type: ignore[arg-type]
        Request(root(), "ecr:PutImage", ARN, OWNER, None),  # type: ignore[arg-type]
        Request(None, "ecr:PutImage", ARN, OWNER, {}),  # type: ignore[arg-type]
        Request(root(), "ecr:PutImage", ARN, OWNER, {"aws:sourceip": 7}),  # type: ignore[dict-item]
        Request(root(), "ecr:PutImage", ARN, OWNER, {"aws:sourceip": (7,)}),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_read_is_denied(broken: Request) -> None:
    deny = grant("*", "Deny", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    decision = evaluate(broken, Policies(resource=named(Kind.REPOSITORY, deny)))
    assert (decision.allowed, decision.decided_by) == (False, "request")


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
