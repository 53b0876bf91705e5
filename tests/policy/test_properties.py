"""What holds for every policy and request (policy-engine.md §9), and for every text given to the parser."""

import fnmatch
import json
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import ANONYMOUS, Kind, Named, Policies, PolicyError, Principal, Request, evaluate, parse, render
from moorage.policy.wildcard import matcher, tokens
from tests.policy.build import ARN, OTHER, OWNER, federated, role, root, text, user

CALLERS = [user(), user(OTHER), role(), role(OTHER), federated(), root(), root(OTHER), ANONYMOUS]
NAMES = ["*", {"AWS": OWNER}, {"AWS": OTHER}, *({"AWS": one.arn} for one in CALLERS[:4]), {"AWS": str(role().role_arn)}]

effects = st.sampled_from(["Allow", "Deny"])
actions = st.sampled_from(
    ["*", "ecr:*", "ecr:BatchGetImage", "ecr:Put*", ["ecr:PutImage", "ecr:GetDownloadUrlForLayer"]]
)
keys = st.sampled_from(["aws:username", "aws:SourceIp", "aws:TagKeys", "aws:none"])
operators = st.sampled_from(
    [
        "StringEquals",
        "StringNotLikeIfExists",
        "ForAllValues:StringLike",
        "ForAnyValue:StringNotEquals",
        "IpAddress",
        "Null",
    ]
)
values = st.sampled_from(["alice", "10.0.0.0/8", "${aws:username}", "*", "true", ["a", "b"]])
conditions = st.dictionaries(operators, st.dictionaries(keys, values, max_size=2), max_size=2)
contexts = st.dictionaries(
    st.sampled_from(["aws:username", "aws:sourceip", "aws:tagkeys"]),
    st.sampled_from(["alice", "10.0.0.1", "true", ("a",), ("a", "c"), ()]),
)
attached = st.fixed_dictionaries(
    {"Effect": effects, "Action": actions, "Resource": st.sampled_from(["*", ARN, "arn:aws:ecr:*:*:repository/x"])},
    optional={"Condition": conditions},
)
naming = st.fixed_dictionaries(
    {"Effect": effects, "Principal": st.sampled_from(NAMES), "Action": actions}, optional={"Condition": conditions}
)
requests = st.builds(
    Request,
    st.sampled_from(CALLERS),
    st.sampled_from(["ecr:BatchGetImage", "ecr:PutImage"]),
    st.just(ARN),
    st.just(OWNER),
    contexts,
)
Statements = list[dict[str, object]]
identities = st.lists(attached, min_size=1, max_size=4)
resources = st.lists(naming, min_size=1, max_size=4)
boundaries = st.none() | identities


def policies(identity: Statements, resource: Statements, boundary: Statements | None) -> Policies:
    return Policies(
        identity=[Named("i", "", parse(text(*identity), Kind.IDENTITY))],
        resource=[Named("r", "", parse(text(*resource), Kind.REPOSITORY))],
        boundary=None if boundary is None else [Named("b", "", parse(text(*boundary), Kind.BOUNDARY))],
    )


@given(requests, identities, resources, boundaries, naming)
def test_adding_a_deny_never_allows_and_adding_an_allow_never_denies(
    request: Request, identity: Statements, resource: Statements, boundary: Statements | None, more: dict[str, object]
) -> None:
    before = evaluate(request, policies(identity, resource, boundary)).allowed
    with_deny = evaluate(request, policies(identity, [*resource, {**more, "Effect": "Deny"}], boundary)).allowed
    with_allow = evaluate(request, policies(identity, [*resource, {**more, "Effect": "Allow"}], boundary)).allowed
    assert not (with_deny and not before)
    assert not (before and not with_allow)


@given(requests, identities, resources, boundaries)
def test_order_does_not_matter_and_detail_does_not_decide(
    request: Request, identity: Statements, resource: Statements, boundary: Statements | None
) -> None:
    plain = evaluate(request, policies(identity, resource, boundary))
    turned = evaluate(request, policies(identity[::-1], resource[::-1], boundary and boundary[::-1]))
    detailed = evaluate(request, policies(identity, resource, boundary), detail=True)
    for other in (turned, detailed):
        assert (other.allowed, other.explicit, other.decided_by, other.rule) == (
            plain.allowed,
            plain.explicit,
            plain.decided_by,
            plain.rule,
        )
    for one in detailed.trace:
        for policy in one.policies:
            for finding in policy.statements:
                detail = finding.detail
                assert detail is not None
                parts = [
                    detail.principal,
                    detail.action,
                    detail.resource,
                    *(test.matched for test in detail.conditions),
                ]
                assert finding.matched is all(part is not False for part in parts)
    assert render(detailed).startswith("ALLOW" if plain.allowed else "DENY")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Principal", "Action", "Condition", "AWS", "StringLike", "aws:a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text() | json_values.map(json.dumps), st.sampled_from(list(Kind)))
def test_the_parser_raises_policy_errors_only(source: str, kind: Kind) -> None:
    try:
        document = parse(source, kind)
    except PolicyError:
        return
    assert parse(document.canonical(), kind).canonical() == document.canonical()


@given(
    st.text("ab:/-${}*'?", max_size=12),
    st.sampled_from(["StringLike", "StringEquals", "ArnLike", "NumericEquals", "DateEquals", "IpAddress", "Bool"]),
    st.text("ab:/-*0129.TZ", max_size=12) | st.tuples(st.text(max_size=4)),
    st.text(max_size=6),
)
def test_no_condition_raises(value: str, operator: str, given_value: str | tuple[str, ...], name: str) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"aws:a": value}}}
    document = parse(text(statement), Kind.IDENTITY)
    caller = Principal("user", OWNER, name, name)
    request = Request(caller, name, name, name, {"aws:a": given_value, "a": "b"})
    assert evaluate(request, Policies(identity=[Named("", "", document)])).rule != "0-unfit-request"


@given(st.text("ab*?", max_size=12), st.text("ab\n", max_size=12))
def test_wildcards_agree_with_a_plain_matcher(pattern: str, value: str) -> None:
    assert matcher(tokens(pattern))(value) is (re.fullmatch(fnmatch.translate(pattern), value) is not None)


def test_no_pattern_takes_long() -> None:
    for pattern in ("*a" * 40 + "*b", "*a?" * 40 + "b", "a*" * 1000 + "b", "?*" * 500 + "b"):
        matches = matcher(tokens(pattern))
        started = time.perf_counter()
        assert not matches("a" * 512)
        assert time.perf_counter() - started < 0.05
