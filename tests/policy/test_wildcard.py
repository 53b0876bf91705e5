"""Wildcard patterns: what they match, against a plain matcher, and that none is slow (policy-engine.md §3.4)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.policy.wildcard import Wild, matcher, matches_everything, tokens

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
    assert not matcher(tokens(pattern))("a" * 50_000)
