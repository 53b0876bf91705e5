"""A request with its outcome, on its way into the audit record."""

from typing import Any, Final

import msgspec

from moorage.access.caller import Caller, Connection
from moorage.names import Region

_USUAL: Final = 1024
"""Bytes that a record occupies in memory besides the texts that are counted below."""
NOTHING: Final = b"null"
GIVE_CREDENTIALS: Final = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "GetFederationToken",
        "GetSessionToken",
    }
)
"""Operations of STS that CloudTrail counts among the reads; here they are recorded as writes are."""


class Event(msgspec.Struct, gc=False, kw_only=True):
    """A request and its outcome on its way to the record, in the terms of CloudTrail."""

    id: str = ""
    """The request's, where the client was told one."""
    source: str
    """E.g. `ecr.amazonaws.com`."""
    name: str
    """The API operation; of /v2/ the one that the request stands for."""
    region: Region
    caller: Caller
    connection: Connection
    """With the decisions that were made for the request; the first of them says which resource it was about."""
    read_only: bool
    request: bytes
    """requestParameters: JSON, without secrets and without the bytes of images."""
    response: bytes = NOTHING
    """responseElements, likewise; `null` for reads."""
    error_code: str | None = None
    error_message: str | None = None
    authenticated: bool = True
    """False: somebody named the caller's key, and did not prove to hold it."""
    more: dict[str, Any] | None = None
    """Further members of additionalEventData."""
    at: float = 0.0
    """When it was answered; set when it is taken into the record."""
    last: float = 0.0
    count: int = 1

    @property
    def is_write(self) -> bool:
        """Whether an authenticated caller changed something or got credentials, or was refused that."""
        return self.authenticated and (not self.read_only or self.name in GIVE_CREDENTIALS)

    @property
    def size(self) -> int:
        """About how many bytes it occupies in memory, without its decisions."""
        connection = self.connection
        texts = len(self.error_message or "") + len(connection.user_agent or "") + len(connection.referer or "")
        return _USUAL + len(self.request) + len(self.response) + texts


class EventDetail(msgspec.Struct, omit_defaults=True):
    """What an event's row keeps as JSON: everything that nobody searches by."""

    user_agent: str | None = None
    read_only: bool = False
    error_message: str | None = None
    request: msgspec.Raw = msgspec.Raw(NOTHING)
    response: msgspec.Raw = msgspec.Raw(NOTHING)
    decisions: list[str] = []
    """Ids, the first of them."""
    decided: int = 0
    """How many there were."""
    shared: bool = False
    """Another account has this event, too."""
    authenticated: bool = True
    more: dict[str, Any] = {}
