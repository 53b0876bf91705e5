"""Answers are found once for equal values, and only for those."""

from typing import Any

import pytest

from moorage.policy.by_values import LONGEST, MOST, ByValues
from moorage.policy.variables import Context

ARN = "arn:aws:ecr:us-east-1:111122223333:repository/app"


class Answers:
    """Numbers its answers, so that one that was found again is another."""

    def __init__(self, *, reads_resource: bool = False) -> None:
        self.found = 0
        self.memory = ByValues(self._find, ("aws:useragent", "aws:sourceip"), reads_resource=reads_resource)

    def _find(self, _resource: str, _account: str, _context: Context) -> int:
        self.found += 1
        return self.found

    def __call__(self, context: dict[str, Any], resource: str = ARN, account: str = "111122223333") -> int:
        return self.memory.ask(resource, account, context)


def test_what_is_not_read_finds_nothing_anew() -> None:
    answers = Answers()
    first = answers({"aws:useragent": "docker", "aws:epochtime": "1"})
    assert answers({"aws:useragent": "docker", "aws:epochtime": "2"}) == first
    assert answers({"aws:useragent": "docker"}, resource="*") == first


def test_every_value_that_is_read_counts() -> None:
    answers = Answers(reads_resource=True)
    asked: list[tuple[Any, ...]] = [
        ({},),
        ({"aws:useragent": "docker"},),
        ({"aws:sourceip": "docker"},),
        ({"aws:useragent": ""},),
        ({}, "*"),
        ({}, ARN, "444455556666"),
    ]
    told = [answers(*each) for each in asked]
    assert told == [1, 2, 3, 4, 5, 6]
    assert [answers(*each) for each in asked] == told


@pytest.mark.parametrize(
    ("value", "kept"), [("x" * LONGEST, True), ("x" * (LONGEST + 1), False), (("a", "b"), False), (["a"], False)]
)
def test_only_short_texts_are_kept(value: Any, kept: bool) -> None:
    answers = Answers()
    for _ in range(2):
        answers({"aws:useragent": value})
    assert answers.found == (1 if kept else 2)


def test_it_is_bounded() -> None:
    answers = Answers()
    for number in range(MOST):
        answers({"aws:useragent": str(number)})
    assert answers({"aws:useragent": "0"}) == 1
    answers({"aws:useragent": "one more"})  # for which the others go
    assert answers({"aws:useragent": "0"}) == MOST + 2
