"""What every administration call shares: what it may use, who signed it, and how its body and names are read."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from moorage.access.audit import Recorder
from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.declared.declared import Declared
from moorage.access.events import Events
from moorage.access.generate import Generator
from moorage.access.organization import OrganizationDesk
from moorage.access.reach import Reach
from moorage.access.replay import Replays
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.access.why import Why
from moorage.api.asgi import headers_of
from moorage.api.aws.sigv4 import Verifier
from moorage.api.faults import Faults
from moorage.api.visit import Visits
from moorage.clock import Clock
from moorage.errors import InvalidParameter, MoorageError, Serialization
from moorage.identity.identity import Identity
from moorage.names import AccountId, InvalidNameError, Region, RepositoryRef, account_id, repository_name
from moorage.registry.registry import Registry
from moorage.settings import Settings

T = TypeVar("T")

BODY_LIMIT: Final = 1 << 16
"""Bytes that the body of an administration call may have where it does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed call, verified."""

    caller: Caller
    connection: Connection
    region: Region
    body: bytes

    @property
    def by(self) -> str:
        """Who acts, for the records."""
        return self.caller.principal.arn

    @property
    def account(self) -> AccountId:
        """The caller's own."""
        return AccountId(self.caller.principal.account)

    def decoded(self, kind: type[T]) -> T:
        """The body as JSON of that type, or Serialization."""
        return decoded(self.body, kind)


@dataclass(frozen=True, slots=True)
class AdminServices:
    """Everything the administration door may use. `reset` empties everything; `measure` counts what is stored."""

    registry: Registry
    identity: Identity
    declared: Declared
    access: Access
    authenticator: Authenticator
    why: Why
    verifier: Verifier
    visits: Visits
    clock: Clock
    settings: Settings
    reset: Callable[[], Awaitable[None]]
    measure: Callable[[], Awaitable[None]]
    events: Events
    recorder: Recorder
    faults: Faults
    policy_check: RepositoryPolicyCheck
    replays: Replays
    organization: OrganizationDesk
    reach: Reach
    generator: Generator

    def connection(self, request: Request) -> Connection:
        """The request's connection; UnknownHost or CrossSite when it may not come in at all."""
        return self.visits.connection(request.scope, headers_of(request.scope))

    async def signed(self, request: Request, *, limit: int = BODY_LIMIT) -> Signed:
        """The call with its body of at most `limit` bytes, once its signature (service `moorage`) is verified."""
        connection = self.connection(request)
        try:
            caller, region, body = await self.verifier.verify(
                request.scope, request.receive, service="moorage", limit=limit, host=connection.host
            )
        except MoorageError:
            claimant = await self.verifier.claimant(headers_of(request.scope), request.scope["query_string"])
            if claimant is not None:
                request.state.signed = Signed(claimant, connection, connection.region, b"")
                request.state.unverified = True
            raise
        request.state.signed = signed = Signed(caller, connection, region, body)  # for the audit record
        if request.method not in {"GET", "HEAD"} and not getattr(request.state, "only_reads", False):
            await self.recorder.admit(caller)
        return signed

    async def permitted(self, signed: Signed, action: str, repository: str, account: str | None) -> RepositoryRef:
        """The repository named, of that account or the caller's own, if the caller may `action` on it."""
        with names():
            owner = signed.account if account is None else account_id(account)
            ref = RepositoryRef(owner, signed.region, repository_name(repository))
        await self.access.require(signed.caller, signed.connection, action, ref)
        return ref


@contextlib.contextmanager
def names() -> Iterator[None]:
    """A name that does not parse is the client's mistake."""
    try:
        yield
    except InvalidNameError as error:
        raise InvalidParameter(str(error)) from error


def decoded(body: bytes, kind: type[T]) -> T:
    """A JSON body of that type, or Serialization."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Serialization(str(error)) from error
