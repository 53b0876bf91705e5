"""What a decision says: AWS's sentences, the short reason, the tree, the action table
(docs/development/policy-engine.md §4.1, §7.2)."""

from collections import Counter

import msgspec
import pytest

from moorage.policy import ECR_ACTIONS, Kind, Policies, ecr_action, evaluate, sentence, short
from tests.policy.build import ACTION, ARN, OTHER, OWNER, ask, attached, grant, named, policies, right, role, root, user

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
    own = named(Kind.IDENTITY, right(action="sts:*"))
    implicit = evaluate(ask(user(OTHER), "sts:AssumeRole", request.resource), Policies(identity=own, trust=[]))
    assert sentence(request, implicit).endswith(" because no role trust policy allows the sts:AssumeRole action")
    explicit = evaluate(ask(user(OTHER), "sts:AssumeRole", request.resource), Policies(trust=named(Kind.TRUST, *trust)))
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


def test_the_deciding_statement_is_the_first_that_matched_in_the_deciding_set() -> None:
    resource = [
        *named(Kind.REPOSITORY, grant({"AWS": OTHER}, Sid="NotYou"), grant("*", "Deny", "ecr:Put*", Sid="NotThat")),
        *named(Kind.REPOSITORY, grant("*", Sid="Allowed"), grant("*", "Deny", Sid="First"), grant("*", "Deny")),
    ]
    identity = named(Kind.IDENTITY, right(Sid="Mine"))
    denied = evaluate(ask(user()), Policies(identity=identity, resource=resource))
    deciding = denied.deciding_statement()
    assert deciding is not None
    assert (deciding[0].name, deciding[1].sid) == ("repository", "First")
    allowed = evaluate(ask(user()), Policies(identity=identity, resource=resource[:1]))
    deciding = allowed.deciding_statement()
    assert deciding is not None
    assert (deciding[0].name, deciding[1].sid) == ("identity", "Mine")
    assert short(allowed) == "identity: allowed by statement 'Mine'"
    delegated = named(Kind.REPOSITORY, grant({"AWS": OWNER}, Sid="Delegates"))
    deciding = evaluate(ask(user()), Policies(identity=identity, resource=delegated)).deciding_statement()
    assert deciding is not None
    assert deciding[1].sid == "Mine"
    silent = evaluate(ask(user()), Policies(resource=resource[:1]))
    assert silent.deciding_statement() is None
    assert evaluate(ask(root()), Policies()).deciding_statement() is None


def test_short_of_the_root_and_of_an_unfit_request() -> None:
    assert short(evaluate(ask(root()), Policies())) == "root: allowed (3-account-root)"
    unfit = evaluate(ask(user(), action=None), Policies())  # type: ignore[arg-type]
    assert short(unfit) == "request: no statement allows it (0-unfit-request)"
    assert sentence(unfit.request, unfit) == (
        f"User: {user().arn} is not authorized to perform: None on resource: {ARN}"
    )
    assert unfit.missing_keys() == ()


def test_missing_keys_are_told_once_and_only_where_missing_was_the_fault() -> None:
    def on(key: str, operator: str = "StringEquals") -> dict[str, object]:
        return right(Condition={operator: {key: "a"}})

    statements = [on("aws:b"), on("aws:a"), on("aws:b"), on("aws:there"), on("aws:c", "ForAnyValue:StringLike")]
    identity = named(Kind.IDENTITY, *statements, on("aws:d", "StringNotEquals"))
    decision = evaluate(ask(user(), context={"aws:there": "b"}), Policies(identity=identity))
    assert decision.missing_keys() == ("aws:b", "aws:a")


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
