"""What an operation of an AWS service declares: its name, what must be allowed before it runs, its body limit.

An operation is one small async function `(call, request) -> response` that never sees HTTP. Each service has one table
of them (`api/<service>/operations.py`) that declares their actions and resources, which are decided before they run:

    Operation("DeleteRepository", repositories.delete_repository, "ecr:DeleteRepository", the_repository),

An operation that every authenticated caller may call declares `AUTHENTICATED` instead of an action, and no resource.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from moorage.access.caller import Caller, Connection
from moorage.access.operations import Conditions
from moorage.api.authorization import AUTHENTICATED, Exempt, Target, UndecidedError, check_declared
from moorage.api.aws.constraints import Violation, constraint
from moorage.errors import MoorageError, ValidationFailed
from moorage.names import AccountId, Region

S = TypeVar("S")

MIB = 1 << 20
BODY_LIMIT = MIB
"""Most bytes of a request body, unless the operation says otherwise."""

FoundConditions: TypeAlias = Conditions | Awaitable[Conditions]
"""Awaited if they have to be looked up, such as the permissions boundary of a user."""

Actions: TypeAlias = str | Callable[[Any, Any], Sequence[str]] | Exempt
"""One action, or the actions that the request needs: a session with tags needs `sts:TagSession` too."""

Resources: TypeAlias = Sequence[Target] | Awaitable[Sequence[Target]]
"""What an action is decided on. Awaited if it has to be looked up, such as the path in a user's ARN."""

FindsResources: TypeAlias = Callable[[Any, Any], Resources]


class Call(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """Who calls, from where, and what the operation may use."""

    services: S
    caller: Caller
    connection: Connection
    account: AccountId
    """The caller's own account."""
    region: Region
    """The region of the signature's scope."""
    request_id: str
    scheme: str
    """`http` or `https`, as the client sees it."""
    host: str
    """The Host header."""
    remarks: dict[str, str]
    """Moorage's own response headers, by name in lower case, in ASCII. They are sent with errors too."""


def no_conditions(_call: Call[Any], _request: Any) -> Conditions:
    return {}


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of a service's table. The type of its request is the one that the service's model has for `name`."""

    name: str
    """As AWS spells it."""
    run: Callable[[Any, Any], Awaitable[Any]]
    action: Actions
    resource: FindsResources | None = None
    """Finds everything that the actions must be allowed on; one denial denies the request."""
    conditions: Callable[[Any, Any], FoundConditions] = no_conditions
    """Finds the condition keys that the request adds."""
    body_limit: int = BODY_LIMIT
    authenticate: Callable[[Any, Any], Awaitable[Caller]] | None = None
    """For operations that are not signed: `(services, request) -> caller`, by what the request proves."""

    def actions(self, call: "Call[Any]", request: Any) -> Sequence[str]:
        """Return the actions that this request needs. Raises UndecidedError for an exempt operation."""
        if isinstance(self.action, Exempt):
            raise UndecidedError(f"{self.name} is exempt and has no actions")
        return self.action(call, request) if callable(self.action) else (self.action,)

    async def resources(self, call: "Call[Any]", request: Any) -> Sequence[Target]:
        """Return what the actions are decided on. Raises UndecidedError for an exempt operation."""
        if self.resource is None:
            raise UndecidedError(f"{self.name} declares no resource")
        found = self.resource(call, request)
        return await found if isinstance(found, Awaitable) else found


class Declared(Protocol):
    """An operation of a service model."""

    @property
    def request(self) -> type[Any]: ...


class Service(Generic[S]):
    """One AWS service: its signing name, protocol and operations.

    `version` is the prefix of X-Amz-Target for `json`, the API version (`2010-05-08`) for `query`. `model` has the
    request types by operation (OPERATIONS of the service's shapes.py). Of a `json` service, operations named in
    `joins_violations` report all violated constraints in one `joined`, the others the first, by `wording`.

    Raises ValueError for an operation without an action and its resource (unless its action is AUTHENTICATED), for one
    that is there twice, and for one that the model does not have.
    """

    def __init__(
        self,
        name: str,
        protocol: Literal["json", "query"],
        version: str,
        operations: Sequence[Operation],
        model: Mapping[str, Declared],
        *,
        joins_violations: frozenset[str] = frozenset(),
        joined: type[MoorageError] = ValidationFailed,
        wording: Callable[[Violation], str] = constraint,
    ) -> None:
        for each in operations:
            check_declared(f"{name}:{each.name}", each.action, each.resource, AUTHENTICATED)
        self.name = name
        self.protocol = protocol
        self.version = version
        self.operations = {each.name: each for each in operations}
        self.requests = {each: model[each].request for each in self.operations if each in model}
        """The type of each operation's request."""
        self.joins_violations = joins_violations
        self.joined = joined
        self.wording = wording
        if len(self.operations) < len(operations):
            raise ValueError(f"{name} has two operations of one name")
        if len(self.requests) < len(self.operations):
            raise ValueError(f"the model of {name} does not have {sorted(self.operations.keys() - self.requests)}")
