"""What a call under `/_moorage/` declares: its path, what must be allowed before it runs, its request, its event.

An operation is one small async function `(call, request) -> response`, and a row of the table in `operations.py`:

    operation("/_moorage/purge", trash.purge, "moorage:Purge", trash.the_purged)

The application verifies the signature, decodes the body into the type of the second parameter (`None`: the body is
ignored), decides, and only then calls it. An operation without an action is one of the `Exempt` ones, and says which.
"""

import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from moorage.access.caller import Caller, Connection
from moorage.api.admin.service import AdminServices
from moorage.api.authorization import AUTHENTICATED, BY_STATE, UNAUTHENTICATED, Exempt, Target, check_declared
from moorage.errors import InvalidParameter, Serialization
from moorage.names import AccountId, InvalidNameError, Region, RepositoryRef, account_id, repository_name

BODY_LIMIT: Final = 1 << 16
"""Most bytes of a body, unless the operation says otherwise."""
_WORD: Final = re.compile(r"[a-z0-9]+")
_ID_DIGITS: Final = 18
"""Digits of an id in `after`: as many as any number has that fits 64 bits."""

Actions: TypeAlias = str | Callable[["Call", Any], Sequence[str]] | Exempt
FindsTargets: TypeAlias = Callable[["Call", Any], Sequence[Target] | Awaitable[Sequence[Target]]]


class Call:
    """One call."""

    __slots__ = (
        "_caller",
        "_connection",
        "authenticated",
        "body",
        "failure",
        "http",
        "region",
        "request",
        "services",
        "targets",
    )

    def __init__(self, services: AdminServices, http: Request) -> None:
        self.services = services
        self.http = http
        self.body = b""
        self.request: Any = None
        """The decoded body; None until it is decoded."""
        self.region = Region("")
        """The region of the signature's scope."""
        self.targets: Sequence[Target] = ()
        """What the actions were decided on."""
        self.authenticated = False
        self.failure: Exception | None = None
        """The error: why the call was refused, or what failed of it although it got a response."""
        self._caller: Caller | None = None
        self._connection: Connection | None = None

    def connect(self, connection: Connection) -> None:
        """Set the connection that the call comes from."""
        self._connection = connection
        self.region = connection.region

    def signed_by(self, caller: Caller, region: Region, *, verified: bool) -> None:
        """Set the caller. If not `verified`, it is the owner of the key that a refused call named, for the audit
        record."""
        self._caller, self.authenticated, self.region = caller, verified, region
        if self.connection.region != region:
            self._connection = msgspec.structs.replace(self.connection, region=region)

    @property
    def is_signed(self) -> bool:
        """Whether the call named a key that exists here."""
        return self._caller is not None

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise LookupError("nobody signs this call")
        return self._caller

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise LookupError("this call is answered on any host")
        return self._connection

    @property
    def by(self) -> str:
        """The ARN of the caller, for events and history."""
        return self.caller.principal.arn

    @property
    def account(self) -> AccountId:
        """The account of the caller."""
        return AccountId(self.caller.principal.account)


@dataclass(frozen=True, slots=True)
class Operation:
    """A declared operation. `request`: the type of its decoded body; None if the body is ignored."""

    path: str
    method: str
    action: Actions
    resource: FindsTargets | None
    request: Any
    body_limit: int
    event: str
    """The name of the operation in the audit record."""
    read_only: bool | Callable[[Any], bool]
    continues: Callable[[Any], bool]
    """Whether a request continues another that is recorded, and needs no event of its own."""
    any_host: bool
    run: Callable[[Call, Any], Awaitable[Response]]

    def actions(self, call: Call, request: Any) -> Sequence[str]:
        """Return the actions that this request needs; none for an exempt operation."""
        if isinstance(self.action, Exempt):
            return ()
        return self.action(call, request) if callable(self.action) else (self.action,)

    async def targets(self, call: Call, request: Any) -> Sequence[Target]:
        """Return what the actions are decided on. Looks it up if necessary."""
        found = () if self.resource is None else self.resource(call, request)
        return await found if isinstance(found, Awaitable) else found

    def only_reads(self, call: Call) -> bool:
        """Return CloudTrail's `readOnly`. A call whose request could not be decoded counts as a write if it could have
        been one."""
        if callable(self.read_only):
            return call.request is not None and self.read_only(call.request)
        return self.read_only

    def needs_event(self, call: Call) -> bool:
        """Return whether the audit record gets an event of the call: if it is signed and does not continue another."""
        if not call.is_signed:
            return False
        return call.failure is not None or call.request is None or not self.continues(call.request)

    def decoded(self, body: bytes) -> Any:
        """Decode the request in a body; an empty body is an empty object. Raise Serialization."""
        if self.request is None:
            return None
        try:
            return msgspec.json.decode(body or b"{}", type=self.request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Serialization(str(error)) from error
        except RecursionError:
            raise Serialization("The body is nested too deeply.") from None


def operation(
    path: str,
    run: Callable[[Call, Any], Awaitable[Response]],
    action: Actions,
    resource: FindsTargets | None = None,
    *,
    method: str = "POST",
    body_limit: int = BODY_LIMIT,
    event: str | None = None,
    read_only: bool | Callable[[Any], bool] | None = None,
    continues: Callable[[Any], bool] | None = None,
    any_host: bool = False,
) -> Operation:
    """Return an operation. The second parameter of `run` is annotated with the type of the request, or None.

    `event`: by default the name of the permission (`moorage:ReadAudit` is ReadAudit), so that `moorage audit -a`
    finds requests by the permission they need; without a permission, a name made from the path. `read_only`: by
    default, true for GET. `any_host`: serve the operation for any Host header; for health checks. Raises ValueError
    for an operation that declares no action and is not exempt.
    """
    check_declared(f"{method} {path}", action, resource, AUTHENTICATED, UNAUTHENTICATED, BY_STATE)
    annotations = inspect.get_annotations(run, eval_str=True)
    _, request = (annotations[name] for name in inspect.signature(run).parameters)
    return Operation(
        path,
        method,
        action,
        resource,
        request,
        body_limit,
        event or (action.partition(":")[2] if isinstance(action, str) else _name(path)),
        method == "GET" if read_only is None else read_only,
        continues or (lambda _: False),
        any_host,
        run,
    )


def table(*operations: Operation) -> tuple[Operation, ...]:
    """Return the operations. Raises ValueError for two with the same path and method."""
    seen: set[tuple[str, str]] = set()
    for each in operations:
        if (each.path, each.method) in seen:
            raise ValueError(f"{each.method} {each.path} is registered twice")
        seen.add((each.path, each.method))
    return operations


def _name(path: str) -> str:
    """Return the name of the event for a path, without the names and ids in it."""
    steps = [step for step in path.removeprefix("/_moorage/").split("/") if not step.startswith("{")]
    return "".join(word.capitalize() for step in steps for word in _WORD.findall(step.lower()))


class NamesRepository(Protocol):
    """A request about a repository of an account, by default the caller's own."""

    @property
    def repository(self) -> str: ...

    @property
    def account(self) -> str | None: ...


def account_of(call: Call, text: str | None) -> AccountId:
    """Return the named account, or the caller's own. Raise InvalidParameter."""
    with names():
        return call.account if text is None else account_id(text)


def ref_of(call: Call, request: NamesRepository) -> RepositoryRef:
    """Return the named repository, in the region of the signature. Raise InvalidParameter."""
    with names():
        return RepositoryRef(account_of(call, request.account), call.region, repository_name(request.repository))


def position_of(after: str) -> int | None:
    """Return the id in `after` of a request for a page; None for the first page. Raise InvalidParameter."""
    if not after:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= _ID_DIGITS):
        raise InvalidParameter("after: not what an earlier answer called next")
    return int(after)


def json_response(answer: msgspec.Struct) -> Response:
    """Return the response with that structure as its body."""
    return Response(msgspec.json.encode(answer), media_type="application/json")


# Functions for `resource=` of an operation's declaration: what its actions are decided on.


def the_repository(call: Call, request: NamesRepository) -> Sequence[Target]:
    return (ref_of(call, request),)


@contextlib.contextmanager
def names() -> Iterator[None]:
    """Raise InvalidParameter for a name that is not valid."""
    try:
        yield
    except InvalidNameError as error:
        raise InvalidParameter(str(error)) from error
