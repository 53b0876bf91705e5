"""Answers are found once for equal values, and only for those."""

from typing import Any

import pytest

from moorage.policy.engine.answer_cache import LONGEST, CachedByValues, NoCache
from moorage.policy.matching.variables import Context
from tests.policy.build import Kept

ARN = "arn:aws:ecr:us-east-1:111122223333:repository/app"


class AnswerCache:
    """Numbers its answers, so that one that was found again is another."""

    def __init__(self, kept: Kept | NoCache | None = None, *, reads_resource: bool = False) -> None:
        self.found = 0
        reads = ("aws:useragent", "aws:sourceip")
        self.memory = CachedByValues(self._find, reads, Kept() if kept is None else kept, reads_resource=reads_resource)

    def _find(self, _resource: str, _account: str, _context: Context) -> int:
        self.found += 1
        return self.found

    def __call__(self, context: dict[str, Any], resource: str = ARN, account: str = "111122223333") -> int:
        return self.memory.ask(resource, account, context)


def test_what_is_not_read_finds_nothing_anew() -> None:
    answers = AnswerCache()
    first = answers({"aws:useragent": "docker", "aws:epochtime": "1"})
    assert answers({"aws:useragent": "docker", "aws:epochtime": "2"}) == first
    assert answers({"aws:useragent": "docker"}, resource="*") == first


def test_every_value_that_is_read_counts() -> None:
    answers = AnswerCache(reads_resource=True)
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
    answers = AnswerCache()
    for _ in range(2):
        answers({"aws:useragent": value})
    assert answers.found == (1 if kept else 2)


def test_nothing_is_kept_where_there_is_no_place_for_it() -> None:
    answers = AnswerCache(NoCache())
    assert [answers({}), answers({})] == [1, 2]


def test_two_that_share_a_place_never_get_each_others_answers() -> None:
    kept = Kept()
    one, other = AnswerCache(kept), AnswerCache(kept)
    other({"aws:useragent": "podman"})
    assert (one({"aws:useragent": "docker"}), other({"aws:useragent": "docker"})) == (1, 2)
