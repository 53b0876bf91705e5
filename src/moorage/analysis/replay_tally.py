"""Counts the verdicts of a replay: who would lose access, who would gain it, and for whom nothing would change."""

from collections import deque
from collections.abc import Iterable, Sized
from itertools import takewhile
from typing import Final, TypeVar

import msgspec

from moorage.access.context import instant
from moorage.analysis.replay_report import ChangedAccess, ChangeExample, ReplayReport, UnchangedAccess
from moorage.cache import entry_footprint
from moorage.pages import Room
from moorage.store.metadata.audit.audit import DecisionSummary

T = TypeVar("T")

MAX_LISTED: Final = 1_000
"""Most entries of each list of the report. Those with the most requests come first; the totals count all."""
MAX_COUNTED: Final = 20_000
"""Most pairs of a principal and an action that are counted separately; the others are counted together as `OTHERS`."""
OTHERS: Final = "(others)"
_BYTES: Final = 16 << 20
"""Most bytes of what is counted separately, examples included; what comes later is counted as `OTHERS`."""
_LISTS: Final = 3
_EXAMPLES: Final = 3


class ReplayVerdict(msgspec.Struct, frozen=True, gc=False):
    """How a recorded request is decided: on the policy that is compared with, and on the proposed policy."""

    principal: str
    """ARN of the caller, or of the role if the caller is a session of it."""
    before: bool
    after: bool
    reason: str
    """Why `after`, in a few words."""
    source_ip: str


class _Bucket:
    __slots__ = ("first", "last", "newest", "requests")

    def __init__(self, first: float) -> None:
        self.requests = 0
        self.first = first
        self.last = first
        self.newest: deque[ChangeExample] = deque(maxlen=_EXAMPLES)

    def changed(self, principal: str, action: str) -> ChangedAccess:
        first, last = instant(int(self.first)), instant(int(self.last))
        return ChangedAccess(principal, action, self.requests, first, last, [*reversed(self.newest)])


class Tally:
    """Counts verdicts, which must be added in order of time."""

    def __init__(self) -> None:
        self._lost: dict[tuple[str, str], _Bucket] = {}
        self._gained: dict[tuple[str, str], _Bucket] = {}
        self._unchanged: dict[str, list[int]] = {}
        """By principal, the numbers of requests that stay allowed and denied."""
        self.requests = 0
        self.decisions = 0
        self.unreadable = 0
        self._decided_otherwise = 0
        self._room = _BYTES

    def add(self, row: DecisionSummary, verdict: ReplayVerdict) -> None:
        """Count one row of the record."""
        count = row.count
        self.requests += count
        self.decisions += 1
        if row.allowed is not verdict.before:
            self._decided_otherwise += count
        if verdict.before is verdict.after:
            self._add_unchanged(verdict, count)
            return
        buckets = self._lost if verdict.before else self._gained
        key = (verdict.principal, row.action)
        example = ChangeExample(row.id, instant(int(row.at)), row.principal, verdict.source_ip, verdict.reason)
        bucket = buckets.get(key)
        if bucket is None:
            if not self._has_room(buckets, entry_footprint(key, example) * _EXAMPLES):
                key = (OTHERS, OTHERS)
            bucket = buckets.setdefault(key, _Bucket(row.at))
        bucket.requests += count
        bucket.last = max(bucket.last, row.last)
        bucket.newest.append(example)

    def _add_unchanged(self, verdict: ReplayVerdict, count: int) -> None:
        counts = self._unchanged.get(verdict.principal)
        if counts is None:
            has_room = self._has_room(self._unchanged, entry_footprint(verdict.principal, [0, 0]))
            principal = verdict.principal if has_room else OTHERS
            counts = self._unchanged.setdefault(principal, [0, 0])
        counts[not verdict.after] += count

    def _has_room(self, counted: Sized, size: int) -> bool:
        """Return whether one more entry may be counted separately, and if so, take its bytes."""
        if len(counted) >= MAX_COUNTED or self._room < size:
            return False
        self._room -= size
        return True

    def report(self) -> ReplayReport:
        """Return the report so far. Its lists have at most MAX_LISTED entries each, and pages.PAGE_BYTES together."""
        changed = {principal for buckets in (self._lost, self._gained) for principal, _ in buckets}
        unchanged = [
            UnchangedAccess(principal, allowed, denied)
            for principal, (allowed, denied) in self._unchanged.items()
            if principal not in changed
        ]
        unchanged.sort(key=lambda each: (-each.allowed - each.denied, each.principal))
        return ReplayReport(
            requests=self.requests,
            decisions=self.decisions,
            lost_requests=_requests(self._lost),
            gained_requests=_requests(self._gained),
            still_allowed=sum(allowed for allowed, _ in self._unchanged.values()),
            still_denied=sum(denied for _, denied in self._unchanged.values()),
            lost_principals=len({principal for principal, _ in self._lost}),
            gained_principals=len({principal for principal, _ in self._gained}),
            unchanged_principals=len(unchanged),
            lost=_listed(self._lost),
            gained=_listed(self._gained),
            unchanged=_fitting(unchanged),
            decided_otherwise=self._decided_otherwise,
            unreadable=self.unreadable,
        )


def _requests(buckets: dict[tuple[str, str], _Bucket]) -> int:
    return sum(bucket.requests for bucket in buckets.values())


def _listed(buckets: dict[tuple[str, str], _Bucket]) -> list[ChangedAccess]:
    order = sorted(buckets.items(), key=lambda each: (-each[1].requests, each[0]))
    return _fitting(bucket.changed(*key) for key, bucket in order[:MAX_LISTED])


def _fitting(entries: Iterable[T]) -> list[T]:
    room = Room(MAX_LISTED, lists=_LISTS)
    return list(takewhile(lambda each: room.takes(len(msgspec.json.encode(each))), entries))
