"""What is remembered is bounded, and is not forgotten for being found out again."""

from moorage.memo import Memo


def test_a_full_memory_starts_anew_for_what_is_new_only() -> None:
    memo: Memo[str, int] = Memo(2)
    for number, key in enumerate(("a", "b", "a")):
        memo.keep(key, number)
    assert memo == {"a": 2, "b": 1}
    memo.keep("c", 3)
    assert memo == {"c": 3}
