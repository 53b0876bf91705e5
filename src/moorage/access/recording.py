"""A decision on its way to the audit record, and what takes it there."""

from typing import Final, Protocol

import msgspec

from moorage import policy
from moorage.access.caller import Caller
from moorage.names import Region

_USUAL: Final = 1024
"""Bytes that a decision occupies in memory besides the texts that are counted below."""


class DecisionEntry(msgspec.Struct, gc=False):
    """A decision on its way to the record."""

    id: str
    """Told to the client of a denial; of allowed ones empty until it is written."""
    at: float
    last: float
    region: Region
    decision: policy.Decision
    policies: policy.Policies
    caller: Caller
    count: int = 1
    is_kept: bool = False
    """It waits to be written, or is written. False: there was no room for it."""
    is_of_write: bool = False
    """The event of a write refers to it, so it is never dropped."""

    @property
    def size(self) -> int:
        """About how many bytes it occupies in memory."""
        request = self.decision.request
        size = _USUAL + len(request.resource)
        for key, value in request.context.items():
            size += len(key) + (len(value) if isinstance(value, str) else sum(map(len, value)))
        return size


class DecisionLog(Protocol):
    """Where decisions are recorded."""

    def record(self, entry: DecisionEntry) -> DecisionEntry:
        """Take a decision into the record. Returns the entry that stands for it: of equal ones, the first."""
        ...
