"""The administration door: Starlette routes, none of them hot. What changes or tells anything is signed (`moorage`)."""

import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from moorage import metrics
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.why import Why
from moorage.api.asgi import headers_of
from moorage.api.aws.sigv4 import Verifier
from moorage.api.visit import Visits
from moorage.clock import Clock
from moorage.errors import InvalidParameter, MoorageError, Serialization, ServerFault
from moorage.names import (
    AccountId,
    Digest,
    InvalidNameError,
    Region,
    RepositoryRef,
    account_id,
    digest,
    repository_name,
)
from moorage.registry.registry import Registry
from moorage.settings import Settings

_BODY_LIMIT = 1 << 16
_log = structlog.get_logger()


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `purge` destroys: a deleted repository, or one image of a living one. It takes nothing it would ignore."""

    repository: str
    account: str | None = None
    digest: str | None = None


class RestoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What `restore` brings back: a repository, one image, or one tag."""

    repository: str
    account: str | None = None
    tag: str | None = None
    digest: str | None = None
    as_name: str | None = msgspec.field(default=None, name="as")


class ClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Dev mode: what time it is from now on, in seconds since the epoch."""

    now: float


@dataclass(frozen=True, slots=True)
class AdminServices:
    """Everything the administration door may use. `reset` empties everything; `measure` counts what is stored."""

    registry: Registry
    access: Access
    why: Why
    verifier: Verifier
    visits: Visits
    clock: Clock
    settings: Settings
    reset: Callable[[], Awaitable[None]]
    measure: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed call, verified."""

    caller: Caller
    connection: Connection
    region: Region
    body: bytes


def admin_door(services: AdminServices) -> Starlette:
    """The ASGI application for `/_moorage/…`, `/metrics`, and the health and reset paths of other local clouds."""
    door = _Door(services)
    routes = [
        Route("/_moorage/ready", door.ready),
        Route("/_moorage/health", door.health),
        Route("/_localstack/health", door.health),
        Route("/metrics", door.metrics),
        Route("/_moorage/explain", door.explain),
        Route("/_moorage/explain/{decision}", door.explain),
        Route("/_moorage/restore", door.restore, methods=["POST"]),
        Route("/_moorage/purge", door.purge, methods=["POST"]),
    ]
    if services.settings.dev:
        routes += [
            Route("/_moorage/reset", door.reset, methods=["POST"]),
            Route("/moto-api/reset", door.reset, methods=["POST"]),
            Route("/_moorage/clock", door.set_clock, methods=["POST"]),
        ]
    return Starlette(routes=routes, exception_handlers={MoorageError: _refused, Exception: _broken})


class _Door:
    def __init__(self, services: AdminServices) -> None:
        self._services = services

    async def ready(self, request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"services": dict.fromkeys(("ecr", "iam", "sts"), "running")})

    async def metrics(self, request: Request) -> Response:
        connection = self._connection(request)
        if not self._services.settings.metrics_public and not _is_loopback(connection.source_ip):
            return PlainTextResponse("metrics are for loopback only; see MOORAGE_METRICS_PUBLIC\n", 403)
        await self._services.measure()
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    async def explain(self, request: Request) -> Response:
        signed = await self._signed(request)
        decision = request.path_params.get("decision")
        text = await self._services.why.explain(decision, signed.caller, signed.connection)
        return JSONResponse({"text": text})

    async def restore(self, request: Request) -> Response:
        signed = await self._signed(request)
        asked: RestoreRequest = _decoded(signed.body, RestoreRequest)
        ref = await self._permitted(signed, asked, "moorage:Restore")
        trash, by = self._services.registry.trash, signed.caller.principal.arn
        with _names():
            if asked.tag is not None:
                restored = await trash.restore_tag(ref, asked.tag, by=by)
                text = f"{ref.name}:{asked.tag} is {restored} again"
            elif asked.digest is not None:
                tags = await trash.restore_image(ref, digest(asked.digest), by=by)
                text = f"{ref.name}@{asked.digest} is back{', tagged ' + ', '.join(tags) if tags else ''}"
            else:
                as_name = None if asked.as_name is None else repository_name(asked.as_name)
                if as_name is not None:
                    target = ref._replace(name=as_name)
                    await self._services.access.require(signed.caller, signed.connection, "moorage:Restore", target)
                back = await trash.restore_repository(ref, as_name=as_name, by=by)
                text = f"repository {back.name} is back"
        return JSONResponse({"text": text})

    async def purge(self, request: Request) -> Response:
        signed = await self._signed(request)
        asked: PurgeRequest = _decoded(signed.body, PurgeRequest)
        ref = await self._permitted(signed, asked, "moorage:Purge")
        trash, by = self._services.registry.trash, signed.caller.principal.arn
        with _names():
            if asked.digest is not None:
                doomed: Digest = digest(asked.digest)
                await trash.purge_image(ref, doomed, by=by)
                return JSONResponse({"text": f"{ref.name}@{doomed} is destroyed"})
        await trash.purge_repository(ref, by=by)
        return JSONResponse({"text": f"repository {ref.name} is destroyed"})

    async def reset(self, request: Request) -> Response:
        self._connection(request)
        await self._services.reset()
        return JSONResponse({"status": "ok"})

    async def set_clock(self, request: Request) -> Response:
        self._connection(request)
        self._services.clock.set(_decoded(await request.body(), ClockRequest).now)
        return JSONResponse({"now": self._services.clock.now()})

    def _connection(self, request: Request) -> Connection:
        return self._services.visits.connection(request.scope, headers_of(request.scope))

    async def _signed(self, request: Request) -> Signed:
        connection = self._connection(request)
        caller, region, body = await self._services.verifier.verify(
            request.scope, request.receive, service="moorage", limit=_BODY_LIMIT, host=connection.host
        )
        return Signed(caller, connection, region, body)

    async def _permitted(self, signed: Signed, asked: PurgeRequest | RestoreRequest, action: str) -> RepositoryRef:
        """The repository asked about, if the caller may `action` on it."""
        with _names():
            account = AccountId(signed.caller.principal.account)
            ref = RepositoryRef(
                account if asked.account is None else account_id(asked.account),
                signed.region,
                repository_name(asked.repository),
            )
        await self._services.access.require(signed.caller, signed.connection, action, ref)
        return ref


@contextlib.contextmanager
def _names() -> Iterator[None]:
    """A name that does not parse is the client's mistake."""
    try:
        yield
    except InvalidNameError as error:
        raise InvalidParameter(str(error)) from error


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Serialization(str(error)) from error


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, MoorageError)  # noqa: S101 - Starlette hands it over by class
    return JSONResponse({"__type": error.code, "message": error.message}, error.status)


async def _broken(request: Request, error: Exception) -> Response:
    _log.error("administration call failed", path=request.url.path, exc_info=error)
    return JSONResponse({"__type": ServerFault.code, "message": ServerFault().message}, 500)
