"""The ASGI application for /v2/. It is plain ASGI, because every pull goes through it.

A request passes these steps in order: its host is known, its caller is authenticated, its path and repository name are
valid, and the actions that its operation declares (`operations.py`) are allowed. Then the handler runs. Errors become
bytes here.
"""

import contextlib
import re
from collections.abc import Mapping

import msgspec
import structlog

from moorage.access.authenticate import Authenticator
from moorage.access.authorize import Access
from moorage.access.authorizer import RequestAuthorizer
from moorage.access.caller import Caller, Connection
from moorage.access.download import Downloads
from moorage.api.asgi import ACCESS_LINE, Headers, Receive, Scope, Send, read_on, respond
from moorage.api.authorization import Exempt, decide
from moorage.api.oci import errors, recorded_request, routes, token
from moorage.api.oci.operations import OPERATIONS
from moorage.api.oci.request import VERSION, OciRequest, Services, parse_digest
from moorage.api.oci.streams import Streams
from moorage.api.request_source import RequestSources
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.errors import (
    AccessDenied,
    AuthorizationTokenInvalid,
    InsufficientStorage,
    MoorageError,
    ServerFault,
    UnrecognizedClient,
)
from moorage.locations import Locations
from moorage.logs import refused_for_space
from moorage.names import InvalidNameError, Region, RepositoryRef
from moorage.registry.registry import Registry
from moorage.settings import Settings

_PLAIN_NAME = re.compile(r"[a-z0-9._/-]{1,512}")

_log = structlog.get_logger(__name__)


class OciApp:
    """Serves every path under /v2/."""

    def __init__(
        self,
        registry: Registry,
        access: Access,
        authenticator: Authenticator,
        downloads: Downloads,
        locations: Locations,
        request_sources: RequestSources,
        settings: Settings,
        clock: Clock,
        recorder: Recorder | None = None,
    ) -> None:
        """`recorder` takes the events of the audit record; with None, none are recorded."""
        self._recorder = recorder
        self._services = Services(registry, locations, settings, Streams(registry.layers))
        self._access = access
        self._authenticator = authenticator
        self._downloads = downloads
        self._locations = locations
        self._request_sources = request_sources
        self._profile = settings.profile
        self._tokens = token.Tokens(authenticator, clock) if settings.anonymous_pull else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        connection: Connection | None = None
        request: OciRequest | None = None
        try:
            connection = self._request_sources.connection(scope, headers)
            if self._tokens is not None and scope["path"] == token.PATH:
                given, body = await self._tokens.answer(scope, receive, headers, connection)
                await respond(send, 200, [VERSION, *given, (b"content-length", b"%d" % len(body))], body)
                return
            route = routes.parse(scope["path"])
            caller, ref = await self._admit(scope, headers, connection, route)
            if ACCESS_LINE in scope:
                scope[ACCESS_LINE].principal = caller.principal.arn
            if route is None:
                raise errors.PathUnknown
            operation = OPERATIONS[route.kind].get(scope["method"])
            if operation is None:
                raise errors.Unsupported(", ".join(OPERATIONS[route.kind]))
            if ref is not None and ref.region != connection.region:  # the path names another registry than the host
                connection = msgspec.structs.replace(connection, region=ref.region)
            authorizer = RequestAuthorizer(self._access, caller, connection)
            request = OciRequest(
                self._services, scope, receive, send, headers, route, operation, authorizer, caller, connection, ref
            )
            if self._recorder is not None and not operation.read_only:
                await self._recorder.admit(caller)
                # A write is recorded before it is acknowledged, even if the client has disconnected by then.
                request.before_answer = self._note
            needed = operation.needs(request)
            if not isinstance(needed, Exempt):
                await decide(self._access, caller, connection, needed, (operation.resource(request),))
            request.check_length()
            await operation.handler(request)
            self._note(request, None)
        except MoorageError as error:
            self._note(request, error)
            if isinstance(error, InsufficientStorage):
                refused_for_space.warning("refused: no space left", method=scope["method"], path=scope["path"])
            if request is not None and request.started:
                raise
            if isinstance(error, AccessDenied) and request is not None and request.unknown:
                await self._refuse(scope, connection, send, AuthorizationTokenInvalid())
            else:
                await self._refuse(scope, connection, send, error)
            await read_on(scope, receive)
        except Exception:  # an unforeseen error: the log has the details, the client gets a server error
            _log.exception("request failed", method=scope["method"], path=scope["path"])
            self._note(request, ServerFault())
            if request is not None and request.started:
                raise
            await self._refuse(scope, connection, send, ServerFault())
            await read_on(scope, receive)

    def _note(self, request: OciRequest | None, error: MoorageError | None) -> None:
        """Record the event of a request whose caller is known and whose path names something."""
        if self._recorder is None or request is None or request.is_noted:
            return
        request.is_noted = True
        try:
            event = recorded_request.event(request, error, self._profile)
            if event is not None:
                request_id = self._recorder.record_event(event)
                line = request.scope.get(ACCESS_LINE)
                if line is not None:
                    line.operation, line.request_id = f"ecr:{event.name}", request_id
        except Exception:  # noqa: BLE001 - what was done must still be answered
            _log.exception("event not recorded", method=request.scope["method"], path=request.scope["path"])

    async def _admit(
        self, scope: Scope, headers: Mapping[bytes, bytes], connection: Connection, route: routes.Route | None
    ) -> tuple[Caller, RepositoryRef | None]:
        """Return the caller and the repository of the path. The token of a download URL stands for the principal it was
        issued to."""
        if scope["method"] == "GET" and route is not None and route.kind == routes.BLOBS:
            parts: list[bytes] = scope.get("query_string", b"").split(b"&")
            token = next((part[6:] for part in parts if part.startswith(b"token=")), None)
            if token is not None:
                ref = self._repository(connection, route)
                digest = parse_digest(route.argument)
                return await self._downloads.open(token.decode("latin-1"), ref, digest), ref
        caller = await self._caller(scope, headers, connection, route)
        return caller, self._repository(connection, route) if route is not None and route.name else None

    async def _caller(
        self, scope: Scope, headers: Mapping[bytes, bytes], connection: Connection, route: routes.Route | None
    ) -> Caller:
        authorization = headers.get(b"authorization")
        if self._tokens is not None:
            bearer = authorization is not None and authorization[:7].lower() == b"bearer "
            if bearer or authorization is None:
                caller = await self._shown_nothing_or_token(authorization, connection, route)
                if caller.principal.kind == "anonymous" and scope["method"] not in {"GET", "HEAD"}:
                    raise AuthorizationTokenInvalid  # anonymous callers cannot write
                return caller
        if authorization is None:
            raise AuthorizationTokenInvalid
        region = self._bound_to(connection, route)
        return await self._authenticator.caller_of_basic(authorization.decode("latin-1"), region)

    def _bound_to(self, connection: Connection, route: routes.Route | None) -> Region | None:
        """Return the region whose passwords the request may use: that of its repository, or else of the host.

        Returns None for those of all regions, in profile `oci`.
        """
        if self._profile != "aws":
            return None
        if route is not None and route.name:
            with contextlib.suppress(errors.NameInvalid):  # refused once the caller is known
                return self._repository(connection, route).region
        return connection.region

    async def _shown_nothing_or_token(
        self, authorization: bytes | None, connection: Connection, route: routes.Route | None
    ) -> Caller:
        if authorization is not None:
            region = self._bound_to(connection, route)
            return await self._authenticator.caller_of_bearer(authorization.decode("latin-1"), region)
        if route is None or route.kind == routes.PING:  # the ping asks how to log in
            raise AuthorizationTokenInvalid
        return self._authenticator.anonymous()

    def _repository(self, connection: Connection, route: routes.Route) -> RepositoryRef:
        try:
            return self._locations.repository(connection.host, route.name)
        except InvalidNameError as error:
            raise errors.NameInvalid(route.name) from error

    async def _refuse(self, scope: Scope, connection: Connection | None, send: Send, error: MoorageError) -> None:
        """Send an error: the JSON of the specification, or ECR's plain-text challenge."""
        status, code = errors.shape(error, self._profile)
        headers: Headers = [VERSION, *errors.headers(error)]
        if connection is not None and isinstance(error, (AuthorizationTokenInvalid, UnrecognizedClient)):
            scheme = "https" if connection.secure else "http"
            challenge = self._challenge(f"{scheme}://{connection.host}", scope)
            headers += [
                (b"www-authenticate", challenge.encode("latin-1")),
                (b"content-type", b"text/plain; charset=utf-8"),
            ]
            body = b"Not Authorized\n"
        else:
            headers.append((b"content-type", b"application/json; charset=utf-8"))
            body = errors.body(code, errors.message(error, self._profile))
        headers.append((b"content-length", b"%d" % len(body)))
        await respond(send, status, headers, b"" if scope["method"] == "HEAD" else body)

    def _challenge(self, origin: str, scope: Scope) -> str:
        """Return the WWW-Authenticate header.

        Where anonymous pulls are on, it names the token endpoint alone, which accepts passwords too: if Basic were
        offered as well, docker would give up without a password. Basic credentials are accepted all the same.
        """
        if self._tokens is None or scope["path"] == token.PATH:
            return f'Basic realm="{origin}/",service="ecr.amazonaws.com"'
        return f'Bearer realm="{origin}{token.PATH}",service="ecr.amazonaws.com"{_wanted(scope)}'


def _wanted(scope: Scope) -> str:
    """Return the scope that a client would request a token for. Moorage's tokens have no scope, but clients expect the
    word."""
    route = routes.parse(scope["path"])
    if route is None or not route.name or _PLAIN_NAME.fullmatch(route.name) is None:
        return ""
    actions = "pull" if scope["method"] in {"GET", "HEAD"} else "pull,push"
    return f',scope="repository:{route.name}:{actions}"'
