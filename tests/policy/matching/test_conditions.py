"""What holds for every operator, that the corpus has a row for each of (docs/development/policy-engine.md §3)."""

from typing import Any

import pytest

from moorage.policy import Kind, Policies, evaluate
from moorage.policy.matching.conditions import Test, operator_name
from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.operators import OPERATORS
from tests.policy.build import ask, named, right, user
from tests.policy.cases import corpus

NAMES = [operator.name for operator in OPERATORS.values()]
NEGATED = {
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
    "NumericNotEquals",
    "DateNotEquals",
    "NotIpAddress",
    "ArnNotEquals",
    "ArnNotLike",
}
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


def holds(operator: str, values: object, given: str | tuple[str, ...]) -> bool:
    identity = named(Kind.IDENTITY, right(Condition={operator: {"aws:Key": values}}))
    return evaluate(ask(user(), context={"aws:key": given}), Policies(identity=identity)).allowed


def test_all_operators_are_there() -> None:
    assert len(OPERATORS) == 26
    assert {operator.name for operator in OPERATORS.values() if operator.negated} == NEGATED
    rows = {case.rule for case in corpus() if case.file == "missing_keys"}
    assert rows == {f"{name} and a missing key" for name in NAMES}


@pytest.mark.parametrize("operator", NAMES)
def test_a_multivalued_key_needs_a_set_operator(operator: str) -> None:
    value = value_for(operator)
    assert not holds(operator, value, (value, value))
    assert holds(f"ForAllValues:{operator}", value, (value, value)) is holds(operator, value, value)
    assert holds(f"ForAnyValue:{operator}", value, (value, value)) is holds(operator, value, value)


@pytest.mark.parametrize("operator", NAMES)
def test_no_values_at_all(operator: str) -> None:
    assert holds(operator, [], value_for(operator)) is (operator in NEGATED)


@pytest.mark.parametrize("operator", [*NAMES, "Null"])
def test_operator_names_are_read_in_any_case_and_told_in_awss(operator: str) -> None:
    for full in (operator, f"ForAllValues:{operator}", f"ForAnyValue:{operator}"):
        for ending in ("",) if operator == "Null" else ("", "IfExists"):
            for spelling in (full + ending, (full + ending).lower(), (full + ending).upper()):
                name = operator_name(spelling)
                assert name is not None
                assert name.text == full + ending


@pytest.mark.parametrize("value", [7, ("a", 7), ["a"]])
def test_a_value_that_is_no_text_is_told_by_its_key(value: Any) -> None:
    operator = operator_name("ForAnyValue:StringLike")
    assert operator is not None
    with pytest.raises(UnfitRequestError, match=r"^the value of aws:key is neither text nor a tuple of texts$"):
        Test(operator, "aws:Key", ["*"], variables=True).check({"aws:key": value})


NO_OPERATORS = [
    *("", "IfExists", "StringIs", "NullIfExists", "IpAddresses", "String Like", "StringLike ", "XStringLike"),
    *("ForAllValues:", "ForSomeValues:StringLike", "ForAllValues:ForAnyValue:StringLike", "ForAllValuesStringLike"),
    *("StringLikeIfExistsIfExists", "ForAnyValue:NullIfExists", ":StringLike"),
]


@pytest.mark.parametrize("name", NO_OPERATORS)
def test_what_is_no_operator(name: str) -> None:
    assert operator_name(name) is None
