"""The bounds of the audit record: how many bytes wait to be written, and how many rows a principal adds in a day."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from moorage.access.caller import Caller
from moorage.audit.records import Event
from moorage.store.metadata.audit.audit import DAY

Owner: TypeAlias = tuple[str, str, bool]
"""To whom a record is charged: account, unique id of the user or role, and whether it proved to be that."""

EQUAL_SECONDS: Final = 60.0
"""Equal failures (denials, too) within such a stretch of time are one row a worker."""
ROW_BYTES: Final = 4096
"""What a row may hold; a longer one is counted as several."""
_FAILURES: Final = 32_768
"""Different ones that are remembered; past it they are rows once more."""
_OWNERS: Final = 16_384
"""Principals whose rows are counted at once; past it the counts of the day begin anew."""


def owner_of(caller: Caller, *, authenticated: bool = True) -> Owner:
    """The principal that a caller's records are charged to: all sessions of a role are one, all of a user, too."""
    principal = caller.principal
    return principal.account, principal.role_id or principal.user_id or principal.id, authenticated


class Space:
    """Bytes of memory for records that wait, shared out fairly.

    A principal may hold as much as is still free. So one alone gets at most half of the space, N of them N/(N+1), and
    there is always some for the next one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._of: dict[Owner, int] = {}
        self._waiting: dict[Owner, int] = {}

    def has_room(self, owner: Owner) -> bool:
        """Whether the owner may add another record."""
        return self._of.get(owner, 0) < self.most - self.used

    def add(self, owner: Owner, size: int) -> None:
        """Charge a record to its owner."""
        self.used += size
        self._of[owner] = self._of.get(owner, 0) + size
        self._waiting[owner] = self._waiting.get(owner, 0) + size

    def take(self) -> Mapping[Owner, int]:
        """What was added since the last time; it stays charged until it is released."""
        taken, self._waiting = self._waiting, {}
        return taken

    def release(self, taken: Mapping[Owner, int]) -> None:
        """Free the space of records that are written or lost."""
        for owner, size in taken.items():
            self.used -= size
            left = self._of[owner] - size
            if left:
                self._of[owner] = left
            else:
                del self._of[owner]


class DailyRows:
    """Counts the rows that each principal adds to the record on a day (UTC)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begins = 0.0
        self._rows: dict[Owner, int] = {}

    def spent(self, owner: Owner, at: float) -> bool:
        """Whether the owner has had all of its rows of the day."""
        if not self._begins <= at < self._begins + DAY:
            self._begins = at // DAY * DAY
            self._rows.clear()
        return self._rows.get(owner, 0) >= self._most

    def add(self, owner: Owner, size: int) -> None:
        """Count a record of that many bytes, after `spent`: as a row, and as several if it is long."""
        if len(self._rows) >= _OWNERS and owner not in self._rows:
            self._rows.clear()
        self._rows[owner] = self._rows.get(owner, 0) + 1 + size // ROW_BYTES


class Failures:
    """Remembers the failures of a minute, so that equal ones become one row and are charged once."""

    def __init__(self) -> None:
        self._since = 0
        self._ids: dict[str, str] = {}
        self._charged: set[str] = set()

    def first(self, digest: str, at: float, id: str) -> str:  # noqa: A002 - what it is
        """The id of the first failure with that digest in the minute; `id` if this one is the first."""
        self._begin(at)
        return self._ids.setdefault(digest, id)

    def is_new(self, event: Event) -> bool:
        """Whether the event will be another row."""
        self._begin(event.at)
        if event.error_code is None or not event.id:
            return True
        if event.id in self._charged:
            return False
        self._charged.add(event.id)
        return True

    def _begin(self, at: float) -> None:
        since = int(at // EQUAL_SECONDS)
        if since != self._since or max(len(self._ids), len(self._charged)) >= _FAILURES:
            self._since = since
            self._ids.clear()
            self._charged.clear()
