"""A decision before it is recorded, and the protocol of the record."""

from typing import Final, Protocol

import msgspec

from moorage import policy
from moorage.access.caller import Caller
from moorage.names import Region

_BASE_SIZE: Final = 1024
"""Bytes that a decision occupies in memory besides the texts that `size` counts."""


class DecisionEntry(msgspec.Struct, gc=False):
    """A decision that waits to be recorded."""

    id: str
    """Of a denial: the id that the client is given. Of an allowed request: empty until it is written."""
    at: float
    last: float
    region: Region
    decision: policy.Decision
    policies: policy.Policies
    caller: Caller
    count: int = 1
    is_kept: bool = False
    """Whether it waits to be written or is written; False if there was no room for it."""
    is_of_write: bool = False
    """Whether the event of a write refers to it, so that it is never dropped."""

    @property
    def size(self) -> int:
        """About how many bytes the decision occupies in memory."""
        request = self.decision.request
        size = _BASE_SIZE + len(request.resource)
        for key, value in request.context.items():
            size += len(key) + (len(value) if isinstance(value, str) else sum(map(len, value)))
        return size


class DecisionLog(Protocol):
    """Where decisions are recorded."""

    def record(self, entry: DecisionEntry) -> DecisionEntry:
        """Record a decision. Return the entry that represents it: the first of equal ones."""
        ...
