"""What a replay found, counted: who would lose access, who would gain it, and for whom nothing would change."""

from collections import deque
from collections.abc import Iterable, Sized
from itertools import takewhile
from typing import Final, TypeVar

import msgspec

from moorage.access.context import instant
from moorage.cache import entry_footprint
from moorage.pages import Room
from moorage.store.metadata.audit.audit import DecisionSummary

T = TypeVar("T")

SHOWN: Final = 1_000
"""Principals and actions told at most of each kind, those with the most requests first; the totals are whole."""
COUNTED: Final = 20_000
"""Principals with an action that are counted apart; further ones are counted together, under `OTHERS`."""
OTHERS: Final = "(others)"
_BYTES: Final = 16 << 20
"""Bytes of what is counted apart, with room for examples; what comes then is counted under `OTHERS`."""
_LISTS: Final = 3
_EXAMPLES: Final = 3


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """How one recorded request is decided: on what it is compared with, and under the proposed policy."""

    principal: str
    """The role's ARN for its sessions, else the caller's."""
    before: bool
    after: bool
    reason: str
    """In a few words, of `after`."""
    source_ip: str


class Example(msgspec.Struct, frozen=True, rename="camel"):
    """A recorded decision that would be another."""

    decision: str
    time: str
    principal: str
    source_ip: str
    reason: str


class Changed(msgspec.Struct, frozen=True, rename="camel"):
    """Requests of one principal for one action that would be decided otherwise."""

    principal: str
    action: str
    requests: int
    first: str
    last: str
    examples: list[Example]
    """The newest."""


class Unchanged(msgspec.Struct, frozen=True, rename="camel"):
    """A principal for whom nothing would change: how many of its requests stay allowed, and how many denied."""

    principal: str
    allowed: int
    denied: int


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What would change. All numbers are of requests unless they say otherwise."""

    requests: int
    decisions: int
    """Rows of the record: equal allowed requests of an hour share one."""
    lost_requests: int
    gained_requests: int
    still_allowed: int
    still_denied: int
    lost_principals: int
    gained_principals: int
    unchanged_principals: int
    lost: list[Changed]
    gained: list[Changed]
    unchanged: list[Unchanged]
    decided_otherwise: int
    """Requests that were decided otherwise when they were made than `before` says: the policies have changed since."""
    unreadable: int
    """Decisions that cannot be made again, since the record no longer holds all of them, or cut a value that a policy
    reads. They are not counted anywhere else."""


class _Bucket:
    __slots__ = ("first", "last", "newest", "requests")

    def __init__(self, first: float) -> None:
        self.requests = 0
        self.first = first
        self.last = first
        self.newest: deque[Example] = deque(maxlen=_EXAMPLES)

    def changed(self, principal: str, action: str) -> Changed:
        first, last = instant(int(self.first)), instant(int(self.last))
        return Changed(principal, action, self.requests, first, last, [*reversed(self.newest)])


class Tally:
    """Counts verdicts in the order of time."""

    def __init__(self) -> None:
        self._lost: dict[tuple[str, str], _Bucket] = {}
        self._gained: dict[tuple[str, str], _Bucket] = {}
        self._kept: dict[str, list[int]] = {}
        self.requests = 0
        self.decisions = 0
        self.unreadable = 0
        self._otherwise = 0
        self._room = _BYTES

    def add(self, row: DecisionSummary, verdict: Verdict) -> None:
        """One row of the record."""
        count = row.count
        self.requests += count
        self.decisions += 1
        if row.allowed is not verdict.before:
            self._otherwise += count
        if verdict.before is verdict.after:
            self._keep(verdict, count)
            return
        buckets = self._lost if verdict.before else self._gained
        key = (verdict.principal, row.action)
        example = Example(row.id, instant(int(row.at)), row.principal, verdict.source_ip, verdict.reason)
        bucket = buckets.get(key)
        if bucket is None:
            if not self._has_room(buckets, entry_footprint(key, example) * _EXAMPLES):
                key = (OTHERS, OTHERS)
            bucket = buckets.setdefault(key, _Bucket(row.at))
        bucket.requests += count
        bucket.last = max(bucket.last, row.last)
        bucket.newest.append(example)

    def _keep(self, verdict: Verdict, count: int) -> None:
        kept = self._kept.get(verdict.principal)
        if kept is None:
            has_room = self._has_room(self._kept, entry_footprint(verdict.principal, [0, 0]))
            principal = verdict.principal if has_room else OTHERS
            kept = self._kept.setdefault(principal, [0, 0])
        kept[not verdict.after] += count

    def _has_room(self, counted: Sized, size: int) -> bool:
        """Whether one more may be counted apart; then its bytes are counted too."""
        if len(counted) >= COUNTED or self._room < size:
            return False
        self._room -= size
        return True

    def report(self) -> Report:
        """The figures so far. Its lists have at most `SHOWN` entries, and `pages.PAGE_BYTES` together."""
        moved = {principal for buckets in (self._lost, self._gained) for principal, _ in buckets}
        unchanged = [
            Unchanged(principal, allowed, denied)
            for principal, (allowed, denied) in self._kept.items()
            if principal not in moved
        ]
        unchanged.sort(key=lambda each: (-each.allowed - each.denied, each.principal))
        return Report(
            requests=self.requests,
            decisions=self.decisions,
            lost_requests=_requests(self._lost),
            gained_requests=_requests(self._gained),
            still_allowed=sum(allowed for allowed, _ in self._kept.values()),
            still_denied=sum(denied for _, denied in self._kept.values()),
            lost_principals=len({principal for principal, _ in self._lost}),
            gained_principals=len({principal for principal, _ in self._gained}),
            unchanged_principals=len(unchanged),
            lost=_told(self._lost),
            gained=_told(self._gained),
            unchanged=_fitting(unchanged),
            decided_otherwise=self._otherwise,
            unreadable=self.unreadable,
        )


def _requests(buckets: dict[tuple[str, str], _Bucket]) -> int:
    return sum(bucket.requests for bucket in buckets.values())


def _told(buckets: dict[tuple[str, str], _Bucket]) -> list[Changed]:
    order = sorted(buckets.items(), key=lambda each: (-each[1].requests, each[0]))
    return _fitting(bucket.changed(*key) for key, bucket in order[:SHOWN])


def _fitting(entries: Iterable[T]) -> list[T]:
    room = Room(SHOWN, lists=_LISTS)
    return list(takewhile(lambda each: room.takes(len(msgspec.json.encode(each))), entries))
