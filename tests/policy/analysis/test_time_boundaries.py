"""Between the turning points of a policy the clock changes no decision, and at them it may."""

from bisect import bisect_right
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy import Kind, Plan, Policies, parse, time_boundaries
from tests.policy.build import ACTION, ARN, OWNER, grant, named, right, text, user

SECOND = 1_777_629_600
"""2026-05-01T10:00:00Z"""
NEAR = range(SECOND - 4, SECOND + 5)
DATES = ["2026-05-01T10:00:00Z", "2026-05-01T12:00:00+02:00", "2026-05-01T10:00:01.5Z", "2026-05-01", "2026", "May"]
DATES = [*DATES, str(SECOND), f"{SECOND + 2}.000000001", f"{SECOND - 1}"]
NUMBERS = [str(SECOND), f"{SECOND + 1}.5", f"{SECOND - 2}e0", "-1", "1e999", "5e-324", "many", ""]
DATE_OPERATORS = ["DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan"]
DATE_OPERATORS = [*DATE_OPERATORS, "DateGreaterThanEquals"]
OPERATORS = [*DATE_OPERATORS, *[each.replace("Date", "Numeric") for each in DATE_OPERATORS]]


def points(condition: dict[str, Any], **more: Any) -> list[int] | None:
    found = time_boundaries(parse(text(grant("*", Condition=condition, **more)), Kind.REPOSITORY))
    return None if found is None else sorted(found)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"DateLessThan": {"aws:CurrentTime": "2026-05-01T10:00:00Z"}}, [SECOND, SECOND + 1]),
        ({"DateEqualsIfExists": {"AWS:EPOCHTIME": str(SECOND)}}, [SECOND, SECOND + 1]),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-05-01T10:00:00.5Z"}}, [SECOND + 1]),
        ({"ForAnyValue:NumericLessThan": {"aws:EpochTime": f"{SECOND}.25"}}, [SECOND + 1]),
        ({"NumericEquals": {"aws:EpochTime": [str(SECOND), "never"]}}, [SECOND, SECOND + 1]),
        ({"DateLessThan": {"aws:CurrentTime": ["1970-01-01T00:00:10Z", "5"]}}, [5, 6, 10, 11]),
        ({"NumericLessThan": {"aws:EpochTime": "1.0000000000000000000000000000000000000001"}}, [2]),
        ({"DateLessThan": {"aws:CurrentTime": "${aws:EpochTime}"}}, None),
        ({"Null": {"aws:CurrentTime": "true"}}, []),
        ({"DateLessThan": {"aws:TokenIssueTime": "2026-05-01T10:00:00Z"}}, []),
        ({"NumericLessThan": {"s3:max-keys": "7"}, "DateEquals": {"aws:EpochTime": "9"}}, [9, 10]),
        ({"StringLike": {"aws:CurrentTime": "*T10:*"}}, None),
        ({"StringEquals": {"aws:PrincipalTag/until": "${aws:CurrentTime}"}}, None),
        ({"StringEquals": {"aws:PrincipalTag/until": "${aws:username}"}}, []),
        ({}, []),
    ],
)
def test_the_seconds_at_which_a_condition_may_change(condition: dict[str, Any], expected: list[int] | None) -> None:
    assert points(condition) == expected


def test_of_all_statements_and_of_resources() -> None:
    early, late = ({"DateLessThan": {"aws:CurrentTime": each}} for each in ("1970-01-01T00:00:10Z", "20"))
    both = parse(text(grant("*"), grant("*", Condition=early), grant("*", Condition=late)), Kind.REPOSITORY)
    assert time_boundaries(both) == frozenset({10, 11, 20, 21})
    folder = f"arn:aws:ecr:*:{OWNER}:repository/"
    by_day, by_name = (right(resource=f"{folder}${{{key}}}") for key in ("aws:CurrentTime", "aws:username"))
    assert time_boundaries(parse(text(by_day), Kind.IDENTITY)) is None
    assert time_boundaries(parse(text(by_name), Kind.IDENTITY)) == frozenset()


tests = st.tuples(
    st.sampled_from(OPERATORS),
    st.sampled_from(["", "IfExists"]),
    st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["aws:CurrentTime", "aws:EpochTime"]),
    st.lists(st.sampled_from([*DATES, *NUMBERS]), min_size=1, max_size=3),
)


@given(st.lists(tests, min_size=1, max_size=3))
def test_between_them_nothing_changes(some: list[tuple[str, str, str, str, list[str]]]) -> None:
    statements = [
        grant("*", Condition={f"{q}{operator}{end}": {key: values}}) for operator, end, q, key, values in some
    ]
    policies = Policies(resource=named(Kind.REPOSITORY, *statements))
    found = time_boundaries(parse(text(*statements), Kind.REPOSITORY))
    assert found is not None
    turns, plan = sorted(found), Plan(user(), ACTION, policies)
    decided: dict[int, Any] = {}
    for second in NEAR:
        minute, rest = divmod(second - SECOND, 60)
        time = f"2026-05-01T{10 if minute == 0 else 9:02}:{minute % 60:02}:{rest:02}Z"
        context = {"aws:currenttime": time, "aws:epochtime": str(second)}
        ruling = plan.decide(ARN, OWNER, context)
        said = (ruling.allowed, ruling.rule, ruling.trace)
        assert decided.setdefault(bisect_right(turns, second), said) == said
