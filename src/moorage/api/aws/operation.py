"""What an operation of an AWS service declares: its name, what must be allowed before it runs, its body limit.

An operation is one small async function `(call, request) -> response` that never sees HTTP. Its action and its
resource are declared beside its name, and the door decides them before it runs:

    @ECR.operation("DeleteRepository", action="ecr:DeleteRepository", resource=the_repository)
    async def delete_repository(call: EcrCall, request: DeleteRepositoryRequest) -> DeleteRepositoryResponse: ...

An operation that every authenticated caller may call declares that: `action=AUTHENTICATED`, and no resource.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from moorage.access.caller import Caller, Connection
from moorage.access.operations import Conditions
from moorage.api.authorization import AUTHENTICATED, Exempt, Target, UndecidedError, check_declared
from moorage.api.aws.json11 import Violation, constraint
from moorage.errors import MoorageError, ValidationFailed
from moorage.names import AccountId, Region

S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

MIB = 1 << 20
BODY_LIMIT = MIB
"""Bytes a request body may have where the operation does not say otherwise."""

FoundConditions: TypeAlias = Conditions | Awaitable[Conditions]
"""Awaited where they have to be looked up (the permissions boundary that a user has)."""

Actions: TypeAlias = str | Callable[[Any, Any], Sequence[str]] | Exempt
"""What must be allowed: one action, or what the request needs (a session with tags needs `sts:TagSession` too)."""

Resources: TypeAlias = Sequence[Target] | Awaitable[Sequence[Target]]
"""What an action is decided on; awaited where it has to be looked up (the path in a user's ARN)."""

FindsResources: TypeAlias = Callable[[Any, Any], Resources]


class Call(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """Who calls, from where, and what the operation may use. `services` is what the service was opened with."""

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
    """What an operation has to say beside AWS's body, by name in lower case, ASCII: Moorage's own response headers.

    They are sent with a refusal too.
    """


def no_conditions(_call: Call[Any], _request: Any) -> Conditions:
    return {}


@dataclass(frozen=True, slots=True)
class Operation:
    """`resource` finds everything that the actions must be allowed on; one denial denies the request.

    `request` is the type the body is decoded into (`query.Parameters` for the Query protocol). `authenticate`: of an
    operation that is not signed, who calls, by what the request itself proves.
    """

    name: str
    action: Actions
    resource: FindsResources | None
    conditions: Callable[[Any, Any], FoundConditions]
    body_limit: int
    request: Any
    run: Callable[[Any, Any], Awaitable[Any]]
    authenticate: Callable[[Any, Any], Awaitable[Caller]] | None = None

    def actions(self, call: "Call[Any]", request: Any) -> Sequence[str]:
        """The actions that this request needs. UndecidedError for an exempt operation, which needs none."""
        if isinstance(self.action, Exempt):
            raise UndecidedError(f"{self.name} is exempt and has no actions")
        return self.action(call, request) if callable(self.action) else (self.action,)

    async def resources(self, call: "Call[Any]", request: Any) -> Sequence[Target]:
        """What the actions are decided on, looked up where need be."""
        if self.resource is None:
            raise UndecidedError(f"{self.name} declares no resource")
        found = self.resource(call, request)
        return await found if isinstance(found, Awaitable) else found


class Service(Generic[S]):
    """One AWS service: its signing name, protocol and operations.

    `version` is the prefix of X-Amz-Target for `json`, the API version (`2010-05-08`) for `query`. Operations named in
    `joins_violations` report all violated constraints in one `joined`, the others the first, by `wording`.
    """

    def __init__(
        self,
        name: str,
        protocol: Literal["json", "query"],
        version: str,
        *,
        joins_violations: frozenset[str] = frozenset(),
        joined: type[MoorageError] = ValidationFailed,
        wording: Callable[[Violation], str] = constraint,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.version = version
        self.joins_violations = joins_violations
        self.joined = joined
        self.wording = wording
        self.operations: dict[str, Operation] = {}

    def operation(
        self,
        name: str,
        *,
        action: Actions,
        resource: Callable[[Call[S], Any], Resources] | None = None,
        conditions: Callable[[Call[S], Any], FoundConditions] = no_conditions,
        body_limit: int = BODY_LIMIT,
        authenticate: Callable[[S, Any], Awaitable[Caller]] | None = None,
    ) -> Callable[[F], F]:
        """Register the decorated function under AWS's name. The annotation of its second parameter is the request type.

        ValueError without an action and its resource, unless `action` is AUTHENTICATED.
        """
        check_declared(f"{self.name}:{name}", action, resource, AUTHENTICATED)

        def register(function: F) -> F:
            if name in self.operations:
                raise ValueError(f"{self.name} has two operations {name}")
            annotations = inspect.get_annotations(function, eval_str=True)
            _, request = (annotations[name] for name in inspect.signature(function).parameters)
            self.operations[name] = Operation(
                name, action, resource, conditions, body_limit, request, function, authenticate
            )
            return function

        return register
