"""What a decision says: AWS's sentences, the short reason, the tree, the action table (policy-engine.md §4.1, §7.2)."""

from collections import Counter

import msgspec
import pytest

from moorage.policy import ECR_ACTIONS, Kind, Policies, ecr_action, evaluate, render, sentence, short
from tests.policy.build import ACTION, ARN, OTHER, ask, attached, grant, named, policies, right, role, user

DENY = named(Kind.IDENTITY, right(), right("Deny", Sid="NoPull"))
BASE = f"User: {user().arn} is not authorized to perform: {ACTION} on resource: {ARN}"


@pytest.mark.parametrize(
    ("given", "tail"),
    [
        (Policies(), f" because no identity-based policy allows the {ACTION} action"),
        (Policies(identity=DENY), " with an explicit deny in an identity-based policy"),
        (policies(None, "y", "n"), f" because no permissions boundary allows the {ACTION} action"),
        (Policies(boundary=DENY), " with an explicit deny in a permissions boundary"),
        (policies(None, "y", "-", "n"), f" because no session policy allows the {ACTION} action"),
        (Policies(session=DENY), " with an explicit deny in a session policy"),
        (
            Policies(resource=named(Kind.REPOSITORY, grant("*", "Deny"))),
            " with an explicit deny in a resource-based policy",
        ),
        (Policies(scp=[DENY], identity=DENY), " with an explicit deny in a service control policy"),
        (Policies(scp=[[]]), f" because no service control policy allows the {ACTION} action"),
    ],
)
def test_sentence(given: Policies, tail: str) -> None:
    decision = evaluate(ask(user()), given)
    assert sentence(decision.request, decision) == BASE + tail


def test_sentence_of_another_account_and_of_a_session() -> None:
    request = ask(role(OTHER))
    assert sentence(request, evaluate(request, Policies(identity=attached(Kind.IDENTITY, "y")))) == (
        f"User: {role(OTHER).arn} is not authorized to perform: {ACTION} on resource: {ARN} "
        f"because no resource-based policy allows the {ACTION} action"
    )


def test_sentence_of_a_role_that_may_not_be_assumed() -> None:
    trust = [right("Deny", "sts:*", Principal={"AWS": OTHER})]
    for statement in trust:
        del statement["Resource"]
    request = ask(user(), "sts:AssumeRole", "arn:aws:iam::111122223333:role/builder")
    implicit = evaluate(ask(user(OTHER), "sts:AssumeRole", request.resource), Policies(resource=[]))
    assert sentence(request, implicit).endswith(" because no role trust policy allows the sts:AssumeRole action")
    explicit = evaluate(
        ask(user(OTHER), "sts:AssumeRole", request.resource), Policies(resource=named(Kind.TRUST, *trust))
    )
    assert sentence(request, explicit).endswith(" with an explicit deny in the role trust policy")


def test_short() -> None:
    denied = evaluate(ask(user()), Policies(resource=named(Kind.REPOSITORY, grant("*", "Deny", Sid="NoPull"))))
    assert short(denied) == "resource: explicit deny by statement 'NoPull'"
    assert short(evaluate(ask(user()), Policies())) == "identity: no statement allows it (5c-no-identity-grant)"
    assert short(evaluate(ask(user()), policies("*"))) == "resource: allowed by statement 1"


def test_short_without_the_deciding_set_still_says_what_happened() -> None:
    denied = evaluate(ask(user()), Policies(resource=named(Kind.REPOSITORY, grant("*", "Deny", Sid="NoPull"))))
    hidden = msgspec.structs.replace(denied, trace=())
    assert short(hidden) == "resource: explicit deny (1-explicit-deny)"
    assert "no policy was read" not in render(hidden)


def test_render_says_why() -> None:
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    resource = named(Kind.REPOSITORY, grant("*", Sid="Inside", Condition=condition), grant({"AWS": OTHER}))
    request = ask(user(), context={"aws:sourceip": "192.0.2.1"})
    tree = render(evaluate(request, Policies(resource=resource), detail=True))
    assert tree.startswith(f"DENY  {ACTION} on {ARN}\n")
    assert "1. 'Inside' Allow: condition IpAddress aws:SourceIp failed (no-value-matched)" in tree
    assert "fails: IpAddress aws:SourceIp = 192.0.2.1; policy: 10.0.0.0/8 (no-value-matched)" in tree
    assert "2. Allow: principal did not match" in tree


def test_a_decision_is_plain_data() -> None:
    decision = evaluate(ask(user()), policies("*", "y"), detail=True)
    plain = msgspec.json.decode(msgspec.json.encode(decision))
    assert plain["rule"] == "5a-direct-resource-grant"
    assert plain["trace"][0]["policies"][0]["statements"][0]["detail"]["principal"] is True


def test_the_action_table_is_whole() -> None:
    assert len(ECR_ACTIONS) == 60
    assert sum(action.permission_only for action in ECR_ACTIONS.values()) == 3
    assert Counter(action.level for action in ECR_ACTIONS.values())["Permissions management"] == 4
    token = ecr_action("getauthorizationtoken")
    assert token is not None
    assert token.resource == "*"
    assert ecr_action("Nothing") is None
