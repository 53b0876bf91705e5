"""The bounds of the audit record: bytes that wait to be written, and rows that a principal may add in a day."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from moorage.access.caller import Caller
from moorage.audit.event import AuditEvent
from moorage.store.metadata.audit.audit import DAY

Owner: TypeAlias = tuple[str, str, bool]
"""The principal that a record is charged to: its account, the unique id of the user or role, and whether it
authenticated."""

EQUAL_SECONDS: Final = 60.0
"""Period within which equal failures, denials included, are one row for each worker."""
ROW_BYTES: Final = 4096
"""Size of a row that counts as one; a longer row counts as several."""
_MAX_FAILURES: Final = 32_768
"""Most different failures that are remembered; when there are more, equal ones become new rows."""
_MAX_OWNERS: Final = 16_384
"""Most principals whose rows are counted; when there are more, the counts of the day are reset."""


def owner_of(caller: Caller, *, authenticated: bool = True) -> Owner:
    """Return the principal that a caller's records are charged to. All sessions of a user or role are one principal."""
    principal = caller.principal
    return principal.account, principal.role_id or principal.user_id or principal.id, authenticated


class MemoryBudget:
    """Divides a number of bytes of memory fairly among principals whose records wait.

    A principal may occupy as much as is free. A single principal therefore gets at most half of the memory, N
    principals get N/(N+1) of it, and some is left for the next one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._of: dict[Owner, int] = {}
        self._waiting: dict[Owner, int] = {}

    def has_room(self, owner: Owner) -> bool:
        """Return whether the owner may add another record."""
        return self._of.get(owner, 0) < self.most - self.used

    def add(self, owner: Owner, size: int) -> None:
        """Charge a record to its owner."""
        self.used += size
        self._of[owner] = self._of.get(owner, 0) + size
        self._waiting[owner] = self._waiting.get(owner, 0) + size

    def take(self) -> Mapping[Owner, int]:
        """Return the bytes added since the last call, by owner. They stay charged until they are released."""
        taken, self._waiting = self._waiting, {}
        return taken

    def release(self, taken: Mapping[Owner, int]) -> None:
        """Free the memory of records that are written or lost."""
        for owner, size in taken.items():
            self.used -= size
            left = self._of[owner] - size
            if left:
                self._of[owner] = left
            else:
                del self._of[owner]


class DailyRowLimit:
    """Counts the rows that each principal adds to the record in a day (UTC)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begins = 0.0
        self._rows: dict[Owner, int] = {}

    def is_used_up(self, owner: Owner, at: float) -> bool:
        """Return whether the owner has used up its rows of the day."""
        if not self._begins <= at < self._begins + DAY:
            self._begins = at // DAY * DAY
            self._rows.clear()
        return self._rows.get(owner, 0) >= self._most

    def add(self, owner: Owner, size: int) -> None:
        """Count a record of `size` bytes as one row, or as several if it is long. Call `is_used_up` first."""
        if len(self._rows) >= _MAX_OWNERS and owner not in self._rows:
            self._rows.clear()
        self._rows[owner] = self._rows.get(owner, 0) + 1 + size // ROW_BYTES


class EqualFailures:
    """Remembers the failures of a minute, so that equal ones become one row and are charged once."""

    def __init__(self) -> None:
        self._since = 0
        self._ids: dict[str, str] = {}
        self._charged: set[str] = set()

    def first(self, digest: str, at: float, record_id: str) -> str:
        """Return the id of the first failure with that digest in the minute: `record_id` if this is the first."""
        self._begin(at)
        return self._ids.setdefault(digest, record_id)

    def is_new(self, event: AuditEvent) -> bool:
        """Return whether the event will add a row."""
        self._begin(event.at)
        if event.error_code is None or not event.id:
            return True
        if event.id in self._charged:
            return False
        self._charged.add(event.id)
        return True

    def _begin(self, at: float) -> None:
        since = int(at // EQUAL_SECONDS)
        if since != self._since or max(len(self._ids), len(self._charged)) >= _MAX_FAILURES:
            self._since = since
            self._ids.clear()
            self._charged.clear()
