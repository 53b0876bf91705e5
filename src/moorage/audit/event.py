"""An audit event: a request with its outcome, before it is written."""

from typing import Final

import msgspec

from moorage.access.caller import Caller, Connection
from moorage.names import Region

_BASE_SIZE: Final = 1024
"""Bytes that an event occupies in memory besides the texts that `size` counts."""
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
"""Operations of STS that CloudTrail counts as reads; they are recorded as writes are."""


class RequestOrigin(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Where a request came from, if not over an AWS API: the first members of `additionalEventData`."""

    plane: str | None = None
    """`v2` for the registry API of Docker and OCI."""
    method: str | None = None
    """The HTTP method of such a request."""
    omitted: bool = False
    """Whether the event counts requests that have no events of their own."""
    on_host: bool = False
    """Whether a command changed the database itself, without a server."""


NO_ORIGIN: Final = RequestOrigin()


class AuditEvent(msgspec.Struct, gc=False, kw_only=True):
    """A request and its outcome, in CloudTrail's terms."""

    id: str = ""
    """The request's id, if one was returned to the client."""
    source: str
    """For example `ecr.amazonaws.com`."""
    name: str
    """The API operation; for /v2/, the operation that the request corresponds to."""
    region: Region
    caller: Caller
    connection: Connection
    """Holds the decisions that were made for the request; the first one names the resource of the event."""
    read_only: bool
    request: bytes
    """`requestParameters`: JSON, without secrets and without the bytes of images."""
    response: bytes = NOTHING
    """`responseElements`, in the same form; `null` for reads."""
    error_code: str | None = None
    error_message: str | None = None
    authenticated: bool = True
    """False if the request named the caller's key without proving to hold it."""
    origin: RequestOrigin | None = None
    """One object for all requests of a kind: equal reads are recognized by its identity."""
    at: float = 0.0
    """When the request was answered; set by the recorder."""
    last: float = 0.0
    count: int = 1

    @property
    def is_write(self) -> bool:
        """Whether an authenticated caller changed something or got credentials, or was refused either."""
        return self.authenticated and (not self.read_only or self.name in GIVE_CREDENTIALS)

    @property
    def size(self) -> int:
        """About how many bytes the event occupies in memory, without its decisions."""
        connection = self.connection
        texts = len(self.error_message or "") + len(connection.user_agent or "") + len(connection.referer or "")
        return _BASE_SIZE + len(self.request) + len(self.response) + texts


class EventDetail(msgspec.Struct, omit_defaults=True):
    """The JSON in an event's row: everything that nobody searches by."""

    user_agent: str | None = None
    read_only: bool = False
    error_message: str | None = None
    request: msgspec.Raw = msgspec.Raw(NOTHING)
    response: msgspec.Raw = msgspec.Raw(NOTHING)
    decisions: list[str] = []
    """Ids of the first decisions that were made for the request."""
    decided: int = 0
    """Number of all decisions that were made for the request."""
    shared: bool = False
    """Whether another account has this event as well."""
    authenticated: bool = True
    more: RequestOrigin = NO_ORIGIN
    """The key keeps the name under which older events were written."""
