"""What an operation of /v2/ declares: its route, its handler, the actions that must be allowed, and its event.

The operations are listed in one table (`operations.py`). The application decides `actions` before it calls `handler`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from moorage.access.resources import Resource
from moorage.api.authorization import AUTHENTICATED, BY_STATE, Exempt, check_declared
from moorage.settings import Settings

if TYPE_CHECKING:
    from moorage.api.oci.request import OciRequest

Handler: TypeAlias = "Callable[[OciRequest], Awaitable[None]]"
Actions: TypeAlias = "tuple[str, ...] | Callable[[OciRequest], tuple[str, ...] | Exempt] | Exempt"
"""The actions that must be allowed, always or depending on the request. BY_STATE: a rule of the registry decides,
through `Authorizer`."""
Limit: TypeAlias = Callable[[Settings], int]
"""Bytes of a body."""


class ApiEvent(NamedTuple):
    """The API operation that a request counts as in the audit record (docs/development/ecr-behavior.md §14)."""

    name: str
    members: Callable[[str, Mapping[str, str]], dict[str, Any]]
    """The operation's own parameters, from the last part of the path and the query."""


def the_repository(request: "OciRequest") -> Resource:
    """The repository that the path names."""
    return request.ref


def no_body(_settings: Settings) -> int:
    """Return 0: the operation reads no body."""
    return 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one route. Raises ValueError if it declares no action, which only the ping may."""

    kind: str
    """The kind of route, as in `routes.py`."""
    method: str
    handler: Handler
    actions: Actions
    event: "ApiEvent | Callable[[OciRequest], ApiEvent] | None"
    """None: the ECR API has no such operation."""
    resource: "Callable[[OciRequest], Resource]" = the_repository
    read_only: bool = False
    body_limit: Limit = no_body
    """The most bytes of a body. A longer one is refused: unread if its length is announced, else as soon as it exceeds
    the limit."""

    def __post_init__(self) -> None:
        exempt = isinstance(self.actions, Exempt)
        check_declared(f"{self.method} {self.kind}", self.actions, None if exempt else self.resource, AUTHENTICATED)

    def needs(self, request: "OciRequest") -> tuple[str, ...] | Exempt:
        """Return the actions that this request needs, or why the application decides none."""
        found = self.actions(request) if callable(self.actions) else self.actions
        if isinstance(found, Exempt) and found is not self.actions and found is not BY_STATE:
            raise ValueError(f"{self.method} {self.kind}: a request cannot be exempt because of {found}")
        return found

    def event_of(self, request: "OciRequest") -> ApiEvent | None:
        """The name of this request in the audit record."""
        return self.event(request) if callable(self.event) else self.event
