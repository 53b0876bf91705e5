"""A cache keeps at most its bytes, evicts what it kept first, and says how much it holds."""

import gc
from functools import lru_cache

from moorage.cache import ENTRY, Cache, Size, measured, sizes


def _cache(most: int, name: str = "test") -> Cache[str, bytes]:
    return Cache(name, most, lambda key, value: len(key) + len(value))


def test_the_oldest_entries_are_evicted_when_the_bytes_run_out() -> None:
    cache = _cache(3 * (ENTRY + 101))
    for key in "abc":
        cache.keep(key, bytes(100))
    assert list(cache) == ["a", "b", "c"]
    cache.keep("d", bytes(100))
    assert list(cache) == ["b", "c", "d"]
    assert cache.size == 3 * (ENTRY + 101)
    cache.keep("e", bytes(150))
    assert list(cache) == ["d", "e"]


def test_a_value_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = _cache(1000)
    cache.keep("a", b"")
    cache.keep("b", bytes(1000))
    assert list(cache) == ["a"]


def test_a_value_that_is_kept_again_counts_once() -> None:
    cache, value = _cache(1000), bytes(10)
    for _ in range(100):
        cache.keep("a", value)
    assert cache.size == ENTRY + 11


def test_a_replaced_value_counts_until_its_turn_and_the_new_one_outlives_it() -> None:
    cache = _cache(2 * (ENTRY + 11))
    cache.keep("a", bytes(10))
    cache.keep("a", bytes(9) + b"2")
    assert cache.size == cache.most
    cache.keep("b", bytes(10))
    assert dict(cache) == {"a": bytes(9) + b"2", "b": bytes(10)}
    assert cache.size == cache.most


def test_none_is_a_value() -> None:
    cache: Cache[str, None] = Cache("test", 2 * (ENTRY + 1), lambda key, _: len(key))
    for key in "aabc":
        cache.keep(key, None)
    assert list(cache) == ["b", "c"]
    assert cache.size == cache.most


def test_a_cleared_cache_holds_nothing() -> None:
    cache = _cache(1000)
    cache.keep("a", b"")
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)
    cache.keep("b", b"")
    assert cache.size == ENTRY + 1


def test_sizes_add_up_the_caches_of_one_name_that_are_still_in_use() -> None:
    one, other = _cache(1000, "test-sizes"), _cache(1000, "test-sizes")
    one.keep("a", b"")
    other.keep("a", b"1")
    other.keep("b", b"")
    assert Size("test-sizes", 3 * ENTRY + 4, 3) in sizes()
    del other
    gc.collect()
    assert Size("test-sizes", ENTRY + 1, 1) in sizes()


def test_a_measured_function_shows_the_entries_of_its_cache() -> None:
    @lru_cache(maxsize=8)
    def double(number: int) -> int:
        return 2 * number

    measured("test-function", double, 100)
    double(1)
    double(2)
    assert Size("test-function", 200, 2) in sizes()


class _Shared:
    def __init__(self, size: int) -> None:
        self.size = size


def test_what_several_values_share_counts_once_until_the_last_of_them_is_evicted() -> None:
    cache: Cache[str, list[_Shared]] = Cache("test", 3 * ENTRY + 100, lambda *_: 0, lambda value: value)
    large, small = _Shared(60), _Shared(30)
    cache.keep("a", [large])
    cache.keep("b", [large, small])
    assert cache.size == 2 * ENTRY + 90
    cache.keep("c", [small])
    assert (list(cache), cache.size) == (["a", "b", "c"], 3 * ENTRY + 90)
    cache.keep("d", [small])
    assert (list(cache), cache.size) == (["b", "c", "d"], 3 * ENTRY + 90)
    cache.keep("e", [small])
    assert (list(cache), cache.size) == (["c", "d", "e"], 3 * ENTRY + 30)
    cache.keep("f", [_Shared(101 + 2 * ENTRY)])
    assert "f" not in cache
    cache.clear()
    assert cache.size == 0
    cache.keep("a", [large])
    assert cache.size == ENTRY + 60
