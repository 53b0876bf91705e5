"""Wildcard patterns: what they match, against a plain matcher, and that none is slow (docs/development/policy-engine.md
§3.4)."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.policy.matching.arn import arn_matcher, arn_runs, split
from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.wildcard import MOST_WORK, Wild, matcher, matcher_of_any, matches_everything, tokens

PIECES = st.sampled_from(["*", "?", "a", "b", "ab", "ba", "aab", ".", "\n"])
PATTERNS = st.lists(PIECES, max_size=9).map("".join)
TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", ".", "\n", "c"]), max_size=9).map("".join)


def plain_match(pattern: str, text: str) -> bool:
    """By dynamic programming: `row[i]` says whether the pattern so far matches the first i characters."""
    row = [True] + [False] * len(text)
    for wanted in pattern:
        if wanted == "*":
            for index in range(len(text)):
                row[index + 1] |= row[index]
        else:
            row = [False] + [before and wanted in {"?", given} for before, given in zip(row, text, strict=False)]
    return row[-1]


@given(PATTERNS, TEXTS)
@example("a*", "a")
@example("a?*", "xb")
@example("?*a*b*", "xaby")
@example("*a*", "bab")
@example("*ab*ba*", "xabbax")
@example("*ab*ba*", "xabax")
@example("a*b*c", "abbc")
@example("a*c", "a")
@example("ab*ba", "aba")
@example("*a*a*", "a")
@example("*b*", "b")
@example("*a*b*", "aba")
@example("x*ab*", "xab")
@example("*ab*x", "abax")
def test_a_matcher_agrees_with_a_plain_one(pattern: str, text: str) -> None:
    assert matcher(tokens(pattern))(text) is plain_match(pattern, text)


@given(st.lists(st.tuples(PIECES, st.sampled_from(["", "a", "ab", "c", "\n"])), max_size=8))
def test_a_text_made_from_a_pattern_matches_it(made: list[tuple[str, str]]) -> None:
    pattern = "".join(piece for piece, _ in made)
    text = "".join(run if piece == "*" else (run + "x")[0] if piece == "?" else piece for piece, run in made)
    assert matcher(tokens(pattern))(text)


@given(st.text("ab*?.^$[]()\\|+{}\n", max_size=10))
def test_literals_are_literal(text: str) -> None:
    assert matcher((text,))(text)
    assert not matcher((text,))(text + "a")
    assert matcher((Wild.ANY, text, Wild.ONE))(f"x{text}y")
    assert not matcher((text, Wild.ONE))(text)


@pytest.mark.parametrize(
    ("pattern", "everything"), [("*", True), ("***", True), ("", False), ("*a", False), ("?", False)]
)
def test_which_patterns_match_everything(pattern: str, everything: bool) -> None:
    assert matches_everything(tokens(pattern)) is everything


HOSTILE = [
    "*a" * 1000 + "*b",
    "a*" * 1000 + "b",
    "*a?" * 600 + "b",
    "?*" * 1000 + "b",
    "*?" * 1000 + "b",
    "*" * 2000 + "b",
    "*a*" * 600 + "b?",
    "*" + "a" * 1000 + "b*",
    "*" + "aa?" * 50 + "b*",
    ("*" + "a" * 30 + "b") * 60,
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=lambda pattern: pattern[:8])
def test_no_pattern_backtracks(pattern: str) -> None:
    # By backtracking even a text of a few dozen characters would outlive the universe; this one is long.
    assert not matcher(tokens(pattern))("a" * 20_000)


class Counted(str):
    """A text that counts how many of its characters are looked at one by one."""

    __slots__ = ("steps",)

    def __iter__(self) -> Iterator[str]:
        for character in super().__iter__():
            self.steps = getattr(self, "steps", 0) + 1
            yield character


@pytest.mark.parametrize("number", [1, 10, 1000])
def test_question_marks_cost_one_step_for_each_character_however_many_patterns_there_are(number: int) -> None:
    text = Counted("a" * 8000)
    assert not matcher_of_any([((tokens(f"*a?{at}*b"), False),) for at in range(number)])(text)
    assert text.steps <= 2 * len(text)  # once for the set of its characters


def test_a_text_that_is_far_too_long_is_refused_rather_than_matched() -> None:
    match = matcher(tokens("*?" + "a" * 2000))
    assert match("a" * 3000)
    with pytest.raises(UnfitRequestError):
        match("a" * (MOST_WORK // 2000))


def test_the_work_that_is_still_done_and_the_message_beyond_it() -> None:
    match = matcher_of_any([((tokens("?" * 1023), False),)])
    assert MOST_WORK % 1024 == 0
    assert not match("a" * (MOST_WORK // 1024))
    with pytest.raises(UnfitRequestError, match="a value of 131073 characters is too long for patterns of 1024"):
        match("a" * (MOST_WORK // 1024 + 1))


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a?n:aws:ecr:*:1:repo/?", "arn:aws:ecr:eu:1:repo/x", True),
        ("a?n:aws:ecr:*:1:repo/?", "arn:aws:ecr:eu:x:1:repo/x", False),
        ("a?n:aws:ecr:*:1:repo/?", "a:n:aws:ecr:eu:1:repo/x", False),
        ("a?n:aws:ecr:*:1:repo/?", "arn:aws:ecr:eu:1:repo/:", True),
        ("a?n:aws:ecr:*:1:*", "arn:aws:ecr:eu:1:a:b:c", True),
        ("a?n:aws:ecr:*:1:a*c", "arn:aws:ecr::1:a:b:c", True),
        ("a?n:*:ecr:?:1:x", "arn:a:b:ecr:e:1:x", False),
        ("a?n:*:ecr:?:1:x", "arn:ab:ecr:::1:x", False),
    ],
)
def test_wildcards_before_the_last_field_of_an_arn_match_no_colon(pattern: str, text: str, matches: bool) -> None:
    parts = split(tokens(pattern))
    assert arn_matcher(parts)(text) is matches
    assert matcher_of_any([arn_runs(parts)])(text) is matches
    never = arn_runs(split(tokens("n?:e:v:e:r:*")))
    assert matcher_of_any([never, arn_runs(parts)])(text) is matches
    assert matcher_of_any([arn_runs(parts), never])(text) is matches


@given(st.lists(PATTERNS, max_size=4), TEXTS)
def test_patterns_side_by_side_match_what_one_of_them_matches(patterns: list[str], text: str) -> None:
    expected = any(plain_match(pattern, text) for pattern in patterns)
    assert matcher_of_any([((tokens(pattern), False),) for pattern in patterns])(text) is expected


FIELDS = st.lists(st.sampled_from(["*", "?", "a", "b", "ab"]), max_size=3).map("".join)
LAST = st.lists(st.sampled_from(["*", "?", "a", ":", "/", "b"]), max_size=4).map("".join)
VALUES = st.lists(st.sampled_from(["a", "b", "ab", ":", "/"]), max_size=9).map("".join)
ARNS = st.builds(lambda fields, last: ":".join([*fields, last]), st.lists(FIELDS, min_size=5, max_size=5), LAST)
ARN_VALUES = VALUES | st.builds(
    lambda fields, last: ":".join([*fields, last]),
    st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=5, max_size=5),
    VALUES,
)


@given(st.lists(ARNS, min_size=1, max_size=3), ARN_VALUES)
def test_wildcards_of_an_arns_first_fields_match_no_colon(patterns: list[str], value: str) -> None:
    fields = value.split(":", 5)
    expected = any(
        len(fields) == 6
        and all(plain_match(wanted, given) for wanted, given in zip(pattern.split(":", 5), fields, strict=True))
        for pattern in patterns
    )
    parts = [split(tokens(pattern)) for pattern in patterns]
    assert matcher_of_any([arn_runs(each) for each in parts])(value) is expected
    assert any(arn_matcher(each)(value) for each in parts) is expected
