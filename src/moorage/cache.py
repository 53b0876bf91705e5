"""Caches of results that can be computed again: bounded in bytes, with their sizes in `/metrics`.

`store.metadata.epoch.EpochCache`, which is built on this one, keeps what depends on the authorization epoch. Pure
functions of short texts may use `functools.lru_cache` instead; `measured` adds those to `/metrics`.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from sys import getsizeof
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY: Final = 128
"""Bytes of an entry besides its key and value: a slot of the table, and a place in the order of eviction (125 measured
with tracemalloc, Python 3.11)."""


class Sized(Protocol):
    """An object that knows its own size: bytes, without what it shares with others of its kind."""

    @property
    def size(self) -> int: ...


def nothing(_value: object) -> Iterable[Sized]:
    """Return nothing: most values share no objects with others of their cache."""
    return ()


class Cache(dict[K, V]):
    """Keeps at most `most` bytes of results. When it is full, the oldest entries are evicted first.

    A lookup is `dict.get`, because it is on the path of every request. For the same reason eviction goes by age and not
    by use: a result in use is computed again each time the whole cache has been replaced. Entries are evicted one by
    one as others arrive, so that no call frees many objects at once.
    """

    __slots__ = ("__weakref__", "_holders", "_order", "_shares", "_size_of", "most", "name", "size")

    def __init__(
        self,
        name: str,
        most: int,
        size_of: Callable[[K, V], int],
        shares: Callable[[V], Iterable[Sized]] = nothing,
    ) -> None:
        """`name`: its label in `/metrics`. `size_of`: bytes of a key and its value, with everything that nothing else
        holds.

        `shares`: the objects that several values may hold together (a compiled policy, for example); each counts once.
        """
        super().__init__()
        self.name: Final = name
        self.most: Final = most
        self._size_of: Final = size_of
        self._shares: Final = shares
        self.size = 0
        """Bytes of all entries."""
        self._order: Final[deque[tuple[K, V, int]]] = deque()
        self._holders: Final[dict[int, int]] = {}
        """How many entries hold a shared object, by its id."""
        _caches[id(self)] = self

    def keep(self, key: K, value: V) -> None:
        """Add the value, unless it alone is larger than the cache."""
        if key in self and self[key] is value:
            return
        size = self._size_of(key, value) + ENTRY
        shared = () if self._shares is nothing else tuple(self._shares(value))
        if size > self.most or (shared and size + sum([each.size for each in shared]) > self.most):
            return
        self[key] = value
        self._order.append((key, value, size))
        self.size += size
        holders = self._holders
        for each in shared:
            held = holders[id(each)] = holders.get(id(each), 0) + 1
            if held == 1:
                self.size += each.size
        while self.size > self.most:
            self._evict()

    def clear(self) -> None:
        """Evict everything."""
        super().clear()
        self._order.clear()
        self._holders.clear()
        self.size = 0

    def _evict(self) -> None:
        key, value, size = self._order.popleft()
        self.size -= size
        holders = self._holders
        for each in self._shares(value):
            held = holders[id(each)] = holders[id(each)] - 1
            if not held:
                del holders[id(each)]
                self.size -= each.size
        if self.get(key) is value:  # else another value was added under the key since
            self.pop(key, None)


def footprint(value: Any) -> int:
    """Return the bytes of a plain value with everything in it: texts, numbers, containers, named tuples, msgspec
    structs.

    What the value shares with others is counted too.
    """
    size = getsizeof(value)
    if isinstance(value, str | bytes | int | float) or value is None:
        return size
    if isinstance(value, Mapping):
        return size + sum(footprint(key) + footprint(each) for key, each in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return size + sum(map(footprint, value))
    return size + sum(footprint(getattr(value, name)) for name in getattr(value, "__struct_fields__", ()))


def entry_footprint(key: Any, value: Any) -> int:
    """Return the bytes of a key and its value."""
    return footprint(key) + footprint(value)


class Measured(Protocol):
    """A function under `functools.lru_cache`."""

    def cache_info(self) -> Any: ...


class Size(NamedTuple):
    """The size of all caches of one name in this process."""

    name: str
    bytes: int
    entries: int


_caches: Final[WeakValueDictionary[int, Cache[Any, Any]]] = WeakValueDictionary()
_functions: Final[dict[str, tuple[Measured, int]]] = {}


def measured(name: str, function: Measured, entry: int) -> None:
    """Add the `lru_cache` of a function to `/metrics`. `entry`: the most bytes that one of its entries takes."""
    _functions[name] = (function, entry)


def sizes() -> Iterable[Size]:
    """Return the size of every cache of this process, by name."""
    held: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for each in list(_caches.values()):
        held[each.name] += each.size
        entries[each.name] += len(each)
    for name, (function, entry) in _functions.items():
        entries[name] = function.cache_info().currsize
        held[name] = entries[name] * entry
    return [Size(name, held[name], entries[name]) for name in sorted(entries)]
