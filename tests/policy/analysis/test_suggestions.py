"""What would let a denied request through: each suggestion is tried on the engine, opens little, and says what."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import (
    Changeable,
    DeniedRequest,
    Kind,
    Policies,
    Suggestion,
    blocked_by,
    effect_of,
    evaluate,
    newly_allowed,
    parse,
    suggest,
)
from moorage.policy.analysis.suggestions import MAX_EVALUATIONS, with_change
from moorage.policy.engine.request import Named
from moorage.policy.matching.principal import ANONYMOUS, Principal
from tests.policy.build import ACTION, ARN, OTHER, OWNER, ask, attached, grant, named, policies, right, role, root, user

INSIDE = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
CONTEXT = {"aws:sourceip": "10.0.0.7", "aws:principalarn": user().arn}


def repository(*statements: Any) -> list[Named]:
    return named(Kind.REPOSITORY, *statements)


def identity(*statements: Any) -> list[Named]:
    return named(Kind.IDENTITY, *statements)


def shapes(suggestions: tuple[Suggestion, ...]) -> list[list[tuple[str, str, str]]]:
    return [[(each.set, each.kind, each.detail) for each in one.changes] for one in suggestions]


def after(given_policies: Policies, suggestion: Suggestion) -> Policies:
    for change, policy in zip(suggestion.changes, suggestion.named, strict=True):
        given_policies = with_change(given_policies, change, policy)
    return given_policies


def test_an_allowed_request_needs_nothing() -> None:
    assert suggest(ask(user()), policies("*")) == ()


def test_the_value_that_a_condition_misses() -> None:
    request = ask(user(OTHER), context=CONTEXT)
    given_policies = Policies(
        identity=attached(Kind.IDENTITY, "y"),
        resource=repository(grant({"AWS": OTHER}, Sid="Office", Condition=INSIDE)),
    )
    first, second = suggest(request, given_policies)
    assert shapes((first,)) == [[("resource", "add-value", "aws:SourceIp = 10.0.0.7/32")]]
    (change,) = first.changes
    assert change.summary == "in the repository policy, let statement 'Office' also match aws:SourceIp = 10.0.0.7/32"
    (statement,) = json.loads(change.document)["Statement"]
    assert statement["Condition"] == {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "10.0.0.7/32"]}}
    assert effect_of(change, request) == (
        f"everyone in account {OTHER} whose own policies allow it may then use ecr:* also when "
        "aws:SourceIp = 10.0.0.7/32"
    )
    assert second.changes[0].after == {"Effect": "Allow", "Principal": {"AWS": user(OTHER).arn}, "Action": ACTION}


def test_both_sides_across_accounts() -> None:
    (first, *_) = suggest(ask(user(OTHER)), Policies(identity=[]))
    assert shapes((first,)) == [[("resource", "add-statement", ""), ("identity", "add-statement", "")]]
    (repository_policy, identity_policy) = first.changes
    assert json.loads(repository_policy.document)["Statement"] == [
        {"Effect": "Allow", "Principal": {"AWS": user(OTHER).arn}, "Action": ACTION}
    ]
    assert json.loads(identity_policy.document)["Statement"] == [{"Effect": "Allow", "Action": ACTION, "Resource": ARN}]
    assert effect_of(identity_policy, ask(user(OTHER))) == f"{user(OTHER).arn} may then use {ACTION} on {ARN}"


def test_in_one_account_either_side_will_do() -> None:
    found = shapes(suggest(ask(user()), Policies(identity=[])))
    assert [("identity", "add-statement", "")] in found
    assert [("resource", "add-statement", "")] in found


def test_no_repository_policy_is_suggested_where_there_can_be_none() -> None:
    none = Changeable(resource=())
    found = suggest(ask(user(), "ecr:GetAuthorizationToken", "*"), Policies(identity=[]), none)
    assert [one[0][0] for one in shapes(found)] == ["identity"]
    assert suggest(ask(user(OTHER), "ecr:CreateRepository"), policies(None, "y"), none) == ()


def test_a_deny_lets_the_value_or_the_principal_go_or_goes_itself() -> None:
    request = ask(user(), context=CONTEXT)
    outside = {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    given_policies = Policies(
        identity=attached(Kind.IDENTITY, "y"),
        resource=repository(grant("*", "Deny", Sid="Outside", Condition=outside), grant({"AWS": OTHER})),
    )
    spared, principal, removed = suggest(request, given_policies)
    assert shapes((spared, principal, removed)) == [
        [("resource", "spare-value", "aws:SourceIp = 10.0.0.7/32")],
        [("resource", "spare-principal", user().arn)],
        [("resource", "remove-statement", "")],
    ]
    assert principal.changes[0].after == {
        **grant("*", "Deny", Sid="Outside"),
        "Condition": {**outside, "ArnNotEquals": {"aws:PrincipalArn": user().arn}},
    }
    assert effect_of(removed.changes[0], request) == (
        "anyone, including anonymous callers, is no longer denied, and may use ecr:* "
        "(where NotIpAddress aws:SourceIp 192.0.2.0/24) wherever another policy allows it"
    )


@pytest.mark.parametrize(
    ("statement", "kind", "detail"),
    [
        (right(action="ecr:PutImage"), "add-action", ACTION),
        (right(resource="arn:aws:ecr:*:*:repository/other"), "add-resource", ARN),
        (right(Condition={"StringEquals": {"aws:username": "bob"}}), "add-value", "aws:username = alice"),
        (
            right(Condition={"ArnLike": {"aws:PrincipalArn": "arn:x:y:z:1:q"}}),
            "add-value",
            f"aws:PrincipalArn = {user().arn}",
        ),
    ],
)
def test_what_a_statement_nearly_allows(statement: Any, kind: str, detail: str) -> None:
    request = ask(user(), context={**CONTEXT, "aws:username": "alice"})
    assert [("identity", kind, detail)] in shapes(suggest(request, Policies(identity=identity(statement)), most=5))


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:PrincipalTag/team": "red"}},  # the key is missing: no value will do
        {"NumericLessThan": {"aws:EpochTime": "1"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}},
        {"StringNotEquals": {"aws:username": "alice"}},
        {"StringEquals": {"aws:UserAgent": "ci"}},  # anybody can send any
    ],
)
def test_a_condition_that_no_value_more_would_meet_is_left_alone(condition: Any) -> None:
    context: dict[str, str | tuple[str, ...]] = {
        "aws:username": "alice",
        "aws:epochtime": "5",
        "aws:securetransport": "false",
        "aws:useragent": "x",
        "aws:tagkeys": ("b",),
    }
    found = suggest(ask(user(), context=context), Policies(identity=identity(right(Condition=condition))), most=5)
    assert {each.kind for one in found for each in one.changes} == {"add-statement"}


def test_every_set_in_the_way_is_changed() -> None:
    nothing = [named(Kind.SCP, right(action="s3:*"))]
    given_policies = Policies(
        identity=[],
        boundary=attached(Kind.BOUNDARY, "n"),
        session=attached(Kind.SESSION, "n"),
        scp=nothing,
        rcp=[named(Kind.RCP, right("Deny", Principal="*", Sid="No"), right(Principal="*", action="*"))],
    )
    request = ask(role(OTHER))
    found = suggest(request, given_policies)
    assert {each.set for each in found[0].changes} == {"identity", "boundary", "session", "scp", "rcp", "resource"}
    decision = evaluate(request, given_policies)
    assert set(blocked_by(decision, found)) == {"identity", "boundary", "session", "scp", "rcp", "resource"}
    grants = next(each for each in found[0].changes if each.set == "resource")
    assert grants.after is not None
    assert grants.after["Principal"] == {"AWS": role().role_arn.replace(OWNER, OTHER)}  # type: ignore[union-attr]


def test_a_session_named_itself_is_not_limited_by_its_boundary() -> None:
    given_policies = Policies(
        identity=attached(Kind.IDENTITY, "y"),
        boundary=attached(Kind.BOUNDARY, "n"),
        resource=repository(grant({"AWS": OTHER})),
    )
    found = suggest(ask(role()), given_policies, most=9)
    principals = [
        change.after["Principal"]
        for one in found
        for change in one.changes
        if change.set == "resource" and change.after
    ]
    assert {"AWS": role().arn} in principals


def test_anonymous_callers_and_roots() -> None:
    (first, *_) = suggest(ask(ANONYMOUS), Policies(resource=repository(grant({"AWS": OTHER}))))
    assert first.changes[-1].after is not None
    assert effect_of(first.changes[-1], ask(ANONYMOUS)).startswith("anyone, including anonymous callers, may then")
    (first, *_) = suggest(ask(root(OTHER)), Policies())
    assert effect_of(first.changes[0], ask(root(OTHER))).startswith(
        f"everyone in account {OTHER} whose own policies allow it"
    )


def test_the_second_change_of_a_policy_keeps_the_first() -> None:
    given_policies = Policies(
        identity=attached(Kind.IDENTITY, "y"),
        resource=repository(grant("*", "Deny", Sid="A"), grant("*", "Deny", Sid="B"), grant({"AWS": OTHER})),
    )
    for one in suggest(ask(user(OTHER), context=CONTEXT), given_policies):
        assert evaluate(ask(user(OTHER), context=CONTEXT), after(given_policies, one)).allowed


def test_what_recorded_requests_it_would_open() -> None:
    request = ask(user(OTHER), context=CONTEXT)
    ours = Policies(identity=attached(Kind.IDENTITY, "y"), resource=repository(grant({"AWS": OTHER}, Condition=INSIDE)))
    first, exact = suggest(request, ours)
    bob = user(OTHER, "bob")
    cases = [
        DeniedRequest("1", request, ours, 2),
        DeniedRequest("2", ask(bob, context=CONTEXT), ours, 5),
        DeniedRequest("3", ask(bob, context={"aws:sourceip": "10.0.0.8"}), ours, 7),
        DeniedRequest("4", ask(bob, context=CONTEXT), Policies(identity=[], resource=ours.resource), 11),
        DeniedRequest("5", ask(bob, resource=f"{ARN}2", context=CONTEXT), ours, 13),
        DeniedRequest("6", request, Policies(identity=attached(Kind.IDENTITY, "y")), 17),  # of before it had a policy
    ]
    also, total = newly_allowed(first, cases, request, ours)
    assert total == 2 + 5 + 17
    assert [(each.principal, each.times, each.example) for each in also] == [
        (user(OTHER).arn, 19, "1"),
        (bob.arn, 5, "2"),
    ]
    assert newly_allowed(exact, cases, request, ours)[1] == 19


def test_what_would_pass_today_is_not_the_suggestions_doing() -> None:
    request = ask(user(OTHER), "ecr:PutImage", context=CONTEXT)
    now = Policies(
        identity=attached(Kind.IDENTITY, "y"), resource=repository(grant({"AWS": OTHER}, action="ecr:BatchGetImage"))
    )
    old = Policies(identity=now.identity, resource=repository(grant({"AWS": OWNER})))
    case = DeniedRequest(
        "1", ask(user(OTHER, "bob"), context=CONTEXT), old, 3
    )  # denied then, allowed by the policy of now
    for one in suggest(request, now):
        assert newly_allowed(one, [case], request, now)[1] == 0


def test_a_changed_identity_policy_counts_where_it_is_attached() -> None:
    request = ask(user())
    mine = Policies(
        identity=[Named("shared", "h1", parse(json.dumps({"Statement": right(action="s3:*")}), Kind.IDENTITY))]
    )
    other = Policies(
        identity=[Named("other", "h2", parse(json.dumps({"Statement": right(action="s3:*")}), Kind.IDENTITY))]
    )
    cases = [DeniedRequest("1", ask(user(name="bob")), mine, 1), DeniedRequest("2", ask(user(name="eve")), other, 1)]
    first = next(each for each in suggest(request, mine) if each.changes[0].set == "identity")
    assert [each.principal for each in newly_allowed(first, cases, request, mine)[0]] == [user(name="bob").arn]


def test_a_web_identity_is_trusted_with_the_claims_that_name_it() -> None:
    provider = f"arn:aws:iam::{OWNER}:oidc-provider/token.example.com"
    caller = Principal("web", "", provider, f"{provider}:moorage:repo:x")
    claims = {"token.example.com:aud": "moorage", "token.example.com:sub": "repo:x", "token.example.com:ref": "main"}
    request = ask(caller, "sts:AssumeRoleWithWebIdentity", role().role_arn or "", claims)
    trust = named(Kind.TRUST, grant({"AWS": OWNER}, action="sts:*"))
    given_policies = Policies(trust=trust)
    (only,) = suggest(request, given_policies, Changeable(resource=()))
    assert shapes((only,)) == [[("trust", "add-statement", "")]]
    assert only.changes[0].after == {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"token.example.com:aud": "moorage", "token.example.com:sub": "repo:x"}},
    }
    assert evaluate(request, after(given_policies, only)).allowed
    assert effect_of(only.changes[0], request).startswith(f"everyone authenticated by {provider} may then use")


def test_what_aws_manages_is_not_changed() -> None:
    aws = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    (managed,) = named(Kind.IDENTITY, right(action="ecr:PutImage"))
    (first, *_) = suggest(ask(user()), Policies(identity=[Named(f"{aws} (group devs)", "h", managed.document)]))
    assert first.changes[0].policy == "(new)"
    assert first.changes[0].summary == f"add a statement to a new inline policy of {user().arn}"
    (boundary,) = named(Kind.BOUNDARY, right(action="ecr:PutImage"))
    limited = Policies(identity=attached(Kind.IDENTITY, "y"), boundary=[Named(aws, "h", boundary.document)])
    found = [each for each in suggest(ask(user()), limited, most=5) if each.changes[0].set == "boundary"]
    assert [(each.changes[0].kind, each.changes[0].policy) for each in found] == [("replace-policy", aws)]
    assert len(json.loads(found[0].changes[0].document)["Statement"]) == 2
    assert effect_of(found[0].changes[0], ask(user())).startswith(
        f"{user().arn}, where another policy allows it, may then"
    )


def test_a_service_linked_role_keeps_its_own_policies() -> None:
    linked = msgspec.structs.replace(role(), service_linked=True)
    found = suggest(ask(linked), Policies(identity=[]), Changeable(own=False), most=9)
    assert {change.set for one in found for change in one.changes} == {"resource"}


_ACTIONS = ["ecr:*", "ecr:BatchGetImage", "ecr:PutImage", "*"]
_PRINCIPALS = ["*", {"AWS": OTHER}, {"AWS": OWNER}, {"AWS": user().arn}, {"AWS": role().role_arn}]
_CONDITIONS = [
    {},
    {"Condition": INSIDE},
    {"Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}, "StringEquals": {"aws:username": "bob"}}},
    {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
]
_effects = st.sampled_from(["Allow", "Deny"])
_more = st.sampled_from(_CONDITIONS)
_grants = st.builds(
    lambda effect, principal, action, more: grant(principal, effect, action, **more),
    _effects,
    st.sampled_from(_PRINCIPALS),
    st.sampled_from(_ACTIONS[:3]),
    _more,
)
_rights = st.builds(
    lambda effect, action, more: right(effect, action, **more), _effects, st.sampled_from(_ACTIONS), _more
)


def _attached(kind: Kind, statements: list[Any] | None) -> list[Named] | None:
    return None if statements is None else named(kind, *statements) if statements else []


_some = st.none() | st.lists(_rights, max_size=3)
_policies = st.builds(
    lambda grants, mine, boundary, session: Policies(
        identity=_attached(Kind.IDENTITY, mine),
        resource=_attached(Kind.REPOSITORY, grants or None),
        boundary=_attached(Kind.BOUNDARY, boundary),
        session=_attached(Kind.SESSION, session),
    ),
    st.lists(_grants, max_size=3),
    _some,
    _some,
    _some,
)


@given(_policies, st.sampled_from([user(), user(OTHER), role(), role(OTHER), root(OTHER), ANONYMOUS]))
def test_every_suggestion_works_and_none_is_idle(given_policies: Policies, caller: Any) -> None:
    request = ask(caller, context={**CONTEXT, "aws:principalarn": caller.role_arn or caller.arn})
    found = suggest(request, given_policies)
    if evaluate(request, given_policies).allowed:
        assert found == ()
        return
    assert found, "something always would"
    for one in found:
        assert evaluate(request, after(given_policies, one)).allowed
        assert all(effect_of(change, request) for change in one.changes)
        for named_policy, change in zip(one.named, one.changes, strict=True):
            assert parse(change.document, named_policy.document.kind).canonical() == change.document


def test_the_search_is_bounded() -> None:
    many = [
        grant("*", "Deny", Sid=str(number), Condition=INSIDE | {"Null": {f"aws:x{number}": "true"}})
        for number in range(40)
    ]
    request = ask(user(OTHER), context={"aws:sourceip": "192.0.2.7"})
    assert suggest(request, Policies(identity=[], resource=repository(*many))) == ()
    assert MAX_EVALUATIONS < 1000
