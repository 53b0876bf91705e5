"""Policy variables (policy-engine.md §3.4)."""

import pytest

from moorage.policy import Kind, Policies, evaluate
from tests.policy.build import OWNER, ask, named, right, user

PREFIX = f"arn:aws:ecr:us-east-1:{OWNER}:repository/"


def allowed(
    resource: str, name: str, context: dict[str, str | tuple[str, ...]], *, version: str | None = "2012-10-17"
) -> bool:
    identity = named(Kind.IDENTITY, right(resource=PREFIX + resource), version=version)
    return evaluate(ask(user(), resource=PREFIX + name, context=context), Policies(identity=identity)).allowed


@pytest.mark.parametrize(
    ("resource", "name", "context", "expected"),
    [
        ("${aws:username}/*", "alice/app", {"aws:username": "alice"}, True),
        ("${AWS:UserName}/*", "alice/app", {"aws:username": "alice"}, True),
        ("${aws:username}/*", "bob/app", {"aws:username": "alice"}, False),
        ("${aws:username}/*", "alice/app", {"aws:username": "*"}, False),
        ("${aws:username}/*", "*/app", {"aws:username": "*"}, True),
        ("${aws:username}/*", "alice/app", {"aws:username": ("alice",)}, False),
        ("${aws:username}/*", "/app", {}, False),
        ("${aws:username, 'guest'}/*", "guest/app", {}, True),
        ("${aws:username, 'guest'}/*", "guest/app", {"aws:username": "alice"}, False),
        ("a${*}b", "a*b", {}, True),
        ("a${*}b", "axb", {}, False),
        ("a${?}${$}{x}", "a?${x}", {}, True),
        ("${aws:username", "${aws:username", {"aws:username": "alice"}, True),
        ("$x", "$x", {}, True),
        ("${}", "${}", {}, False),
        ("${aws:PrincipalTag/Cost Center}", "a", {"aws:principaltag/cost center": "a"}, True),
    ],
)
def test_in_resources(resource: str, name: str, context: dict[str, str | tuple[str, ...]], expected: bool) -> None:
    assert allowed(resource, name, context) is expected


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_literal_text_before_2012(version: str | None) -> None:
    context: dict[str, str | tuple[str, ...]] = {"aws:username": "alice"}
    assert not allowed("${aws:username}", "alice", context, version=version)
    assert allowed("${aws:username}", "${aws:username}", context, version=version)


def test_not_only_after_the_fifth_colon() -> None:
    identity = named(Kind.IDENTITY, right(resource="arn:aws:ecr:${aws:region}:*:repository/a"))
    request = ask(user(), resource="arn:aws:ecr:us-east-1:1:repository/a", context={"aws:region": "us-east-1"})
    assert not evaluate(request, Policies(identity=identity)).allowed


def test_a_not_resource_without_value_neither_excludes_nor_grants() -> None:
    for effect, expected in (("Allow", False), ("Deny", True)):
        statement = {"Effect": effect, "Action": "*", "NotResource": PREFIX + "${aws:none}"}
        finding = evaluate(ask(user()), Policies(identity=named(Kind.IDENTITY, statement))).trace[0].policies[0]
        assert finding.statements[0].matched is expected


@pytest.mark.parametrize(
    ("operator", "value", "given", "expected"),
    [
        ("StringEquals", "${aws:username}", "alice", True),
        ("StringEquals", "x${*}", "x*", True),
        ("StringEqualsIgnoreCase", "${aws:username}", "ALICE", True),
        ("StringLike", "${aws:username}-*", "alice-1", True),
        ("StringLike", "${aws:star}", "anything", False),
        ("StringEquals", "${aws:none}", "alice", False),
        ("StringNotEquals", "${aws:none}", "alice", True),
        ("StringNotEquals", "${aws:username}", "alice", False),
        ("ArnLike", "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/alice", True),
        ("ArnLike", "${aws:principalarn}", "arn:aws:iam::1:user/alice", True),
        ("ArnNotLike", "${aws:principalarn}", "arn:aws:iam::1:user/alice", False),
        ("ArnNotLike", "arn:aws:iam::1:user/${aws:none}", "arn:aws:iam::1:user/alice", True),
        ("Bool", "${aws:yes}", "true", True),
        ("NumericEquals", "${aws:one}", "1", False),
        ("IpAddress", "${aws:ip}", "10.0.0.1", False),
    ],
)
def test_in_conditions(operator: str, value: str, given: str, expected: bool) -> None:
    context = {
        "aws:key": given,
        "aws:username": "alice",
        "aws:star": "*",
        "aws:yes": "true",
        "aws:one": "1",
        "aws:ip": "10.0.0.1",
        "aws:principalarn": "arn:aws:iam::1:user/alice",
    }
    identity = named(Kind.IDENTITY, right(Condition={operator: {"aws:Key": value}}))
    assert evaluate(ask(user(), context=context), Policies(identity=identity)).allowed is expected
