"""Operators, qualifiers, IfExists and missing keys (policy-engine.md §3)."""

import pytest

from moorage.policy import Kind, Policies, evaluate
from moorage.policy.operators import OPERATORS
from tests.policy.build import ask, attached, named, right, user


def holds(operator: str, values: object, given: str | tuple[str, ...] | None, key: str = "aws:Key") -> bool:
    """Whether an Allow with this one condition lets the request through; checked against the same in a Deny."""
    context: dict[str, str | tuple[str, ...]] = {} if given is None else {key.lower(): given}
    condition = {operator: {key: values}}
    request = ask(user(), context=context)
    allowed = evaluate(request, Policies(identity=named(Kind.IDENTITY, right(Condition=condition)))).allowed
    deny = named(Kind.IDENTITY, right("Deny", Condition=condition))
    decision = evaluate(request, Policies(identity=[*deny, *(attached(Kind.IDENTITY, "y") or ())]))
    assert decision.explicit is allowed
    return allowed


VALUES = {
    "numeric": "1",
    "date": "2026-01-01",
    "bool": "true",
    "binary": "QQ==",
    "ip": "10.0.0.1",
    "arn": "arn:a:b:c:d:e",
}


def value_for(operator: str) -> str:
    lowered = operator.lower()
    return next((value for prefix, value in VALUES.items() if prefix in lowered), "text")


NEGATED = {"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals"} | {
    "DateNotEquals",
    "NotIpAddress",
    "ArnNotEquals",
    "ArnNotLike",
}


def test_all_operators_are_there() -> None:
    assert len(OPERATORS) == 26
    assert {operator.name for operator in OPERATORS.values() if operator.negated} == NEGATED


@pytest.mark.parametrize("operator", [operator.name for operator in OPERATORS.values()])
def test_missing_key(operator: str) -> None:
    value = value_for(operator)
    assert holds(operator, value, None) is (operator in NEGATED)
    assert holds(f"{operator}IfExists", value, None)
    assert holds(f"ForAllValues:{operator}", value, None)
    assert holds(f"ForAllValues:{operator}", value, ())
    assert holds(f"ForAllValues:{operator}IfExists", value, None)
    assert not holds(f"ForAnyValue:{operator}", value, None)
    assert not holds(f"ForAnyValue:{operator}", value, ())
    assert holds(f"ForAnyValue:{operator}IfExists", value, None)


@pytest.mark.parametrize("operator", [operator.name for operator in OPERATORS.values()])
def test_a_multivalued_key_needs_a_set_operator(operator: str) -> None:
    value = value_for(operator)
    assert not holds(operator, value, (value, value))


@pytest.mark.parametrize("operator", [operator.name for operator in OPERATORS.values()])
def test_no_values_at_all(operator: str) -> None:
    assert holds(operator, [], value_for(operator)) is (operator in NEGATED)


@pytest.mark.parametrize(
    ("operator", "values", "given", "expected"),
    [
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "A", "a", False),
        ("stringEQUALS", "a", "a", True),
        ("StringEquals", True, "true", True),
        ("StringEquals", 10, "10", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEqualsIgnoreCase", "ÄB", "äb", True),
        ("StringNotEqualsIgnoreCase", "AB", "ab", False),
        ("StringLike", "a*c?e", "abbbcde", True),
        ("StringLike", "a*c?e", "abbbce", False),
        ("StringLike", "*", "", True),
        ("StringLike", "a.c", "abc", False),
        ("StringLike", "a*", "a\nb", True),
        ("StringNotLike", ["a*", "b*"], "bc", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10.5, "10.50", True),
        ("NumericEquals", "x", "x", False),
        ("NumericNotEquals", "x", "1", False),
        ("NumericNotEquals", "1", "x", False),
        ("NumericNotEquals", "1", "2", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "11", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericEquals", "NaN", "NaN", False),
        ("DateEquals", "2026-05-01", "2026-05-01T00:00:00Z", True),
        ("DateEquals", "2026-05-01T02:00+02:00", "2026-05-01T00:00:00.000Z", True),
        ("DateEquals", "1970-01-02", "86400", True),
        ("DateLessThan", "2026", "2025-12-31T23:59:59Z", True),
        ("DateGreaterThan", "2026-05", "2026-05-01T00:00:00.5Z", True),
        ("DateGreaterThanEquals", "2026-13", "2026-05-01", False),
        ("DateNotEquals", "yesterday", "2026-05-01", False),
        ("DateNotEquals", "2026", "2026-05-01", True),
        ("Bool", "TRUE", "true", True),
        ("Bool", "false", "true", False),
        ("Bool", "yes", "yes", False),
        ("BinaryEquals", "QUI=", "QUI=", True),
        ("BinaryEquals", "QUI=", "QUM=", False),
        ("BinaryEquals", "%", "%", False),
        ("IpAddress", "10.0.0.0/8", "10.255.0.1", True),
        ("IpAddress", "10.1.2.3/8", "10.255.0.1", True),
        ("IpAddress", "10.0.0.1", "10.0.0.1", True),
        ("IpAddress", "10.0.0.0/8", "::1", False),
        ("IpAddress", "10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("IpAddress", "2001:db8::/32", "2001:DB8::1", True),
        ("IpAddress", "10.0.0.0/8", "10.0.0.0/8", False),
        ("NotIpAddress", "10.0.0.0/8", "::1", True),
        ("NotIpAddress", "10.0.0.0/8", "10.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "x", False),
        ("NotIpAddress", "x", "10.0.0.1", False),
        ("ArnEquals", "arn:aws:ecr:*:1:repository/*", "arn:aws:ecr:eu:1:repository/a:b/c", True),
        ("ArnLike", "arn:aws:*:repository/a", "arn:aws:ecr:eu:1:repository/a", False),
        ("ArnLike", "*", "arn:aws:ecr:eu:1:repository/a", False),
        ("ArnNotLike", "arn:aws:ecr:*:1:*", "arn:aws:ecr:eu:2:x", True),
        ("ArnNotLike", "arn:aws:ecr:*:1:*", "arn:aws:ecr:eu:1:x", False),
        ("ArnNotEquals", "arn:aws:ecr:*:1:*", "no arn", False),
        ("Null", "true", "x", False),
        ("Null", "true", None, True),
        ("Null", False, "x", True),
        ("Null", ["true", "false"], "x", True),
        ("Null", "true", (), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
        ("ForAllValues:StringEquals", "a", "a", True),
        ("ForAllValues:StringEquals", "a", ("",), True),
        ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "a"), False),
        ("ForAllValues:StringNotEquals", ["a", "b"], ("c", "d"), True),
        ("ForAnyValue:StringEquals", ["a", "b"], ("c", "a"), True),
        ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "c"), True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ("a", "b"), False),
        ("forallvalues:stringequalsifexists", "a", ("a",), True),
        ("StringEqualsIfExists", "a", "b", False),
    ],
)
def test_operator(operator: str, values: object, given: str | tuple[str, ...] | None, expected: bool) -> None:
    assert holds(operator, values, given) is expected


def test_keys_ignore_case() -> None:
    assert holds("StringEquals", "a", "a", key="AWS:PrincipalTag/TEAM")


def test_all_operators_and_all_keys_must_hold() -> None:
    condition = {"StringEquals": {"aws:a": "1", "aws:b": "2"}, "Bool": {"aws:c": "true"}}
    identity = named(Kind.IDENTITY, right(Condition=condition))
    everything = {"aws:a": "1", "aws:b": "2", "aws:c": "true"}
    assert evaluate(ask(user(), context=everything), Policies(identity=identity)).allowed
    for key in everything:
        context = {**everything, key: "other"}
        assert not evaluate(ask(user(), context=context), Policies(identity=identity)).allowed
