"""The ASGI application for the AWS services. It routes a request to its service and carries out the steps that all
share.

The steps: find the operation; check key, scope and clock; read the body; verify the signature; decode the body and
check its constraints; decide; run the operation.
"""

import os
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.api.asgi import (
    ACCESS_LINE,
    AccessLine,
    Receive,
    Scope,
    Send,
    content_length,
    headers_of,
    read_body,
    read_on,
    respond,
)
from moorage.api.authorization import AUTHENTICATED, decide
from moorage.api.aws import errors, json11, query, recorded_call, xml
from moorage.api.aws.large_bodies import LargeBodies
from moorage.api.aws.operation import BODY_LIMIT, Call, Operation, Service
from moorage.api.aws.sigv4 import Claim, Verifier, scope_service
from moorage.api.request_source import RequestSources
from moorage.audit.event import AuditEvent
from moorage.audit.recorder import Recorder
from moorage.audit.text import truncated
from moorage.errors import (
    AccessDenied,
    InsufficientStorage,
    MissingAuthenticationToken,
    MoorageError,
    QueryError,
    RequestTooLarge,
    Serialization,
    ServerFault,
    UnknownOperation,
)
from moorage.logs import refused_for_space
from moorage.names import AccountId, Region
from moorage.settings import Settings

_log = structlog.get_logger()
_LARGE_BODY = 16 << 20
"""Bodies that may be longer than this are limited in number."""
_UNSIGNED_BODY = 128 << 10
"""Bytes of a body that is read before anything is known about its sender."""
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""The digit of a UUID that states its variant."""
_encode = msgspec.json.Encoder(order="sorted").encode  # AWS sends the members of a response in alphabetical order
_FORM = b"application/x-www-form-urlencoded"


class Opened(NamedTuple):
    """A service and what its operations get as `call.services`."""

    service: Service[Any]
    services: Any


class AwsRequest:
    """One request, with what the audit record will keep of it."""

    __slots__ = (
        "asked",
        "caller",
        "connection",
        "headers",
        "opened",
        "operation",
        "receive",
        "region",
        "remarks",
        "request_id",
        "responded",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.headers = headers_of(scope)
        self.request_id = _request_id()
        self.remarks: dict[str, str] = {}
        self.connection: Connection | None = None
        self.opened: Opened | None = None
        self.operation = ""
        self.caller: Caller | None = None
        """The principal that signed the request; None until the signature is verified."""
        self.region: Region | None = None
        self.asked = recorded_call.NOTHING
        self.responded = recorded_call.NOTHING

    @property
    def signed(self) -> bool:
        """Whether the request carries a signature, valid or not."""
        return b"authorization" in self.headers or b"X-Amz-Signature=" in self.scope["query_string"]

    @property
    def is_query(self) -> bool:
        """Whether the request is for a service of the Query protocol, which responds in XML."""
        return self.opened is not None and self.opened.service.protocol == "query"

    def refusal(self, error: MoorageError) -> tuple[int, bytes]:
        """Return the status and body of an error, in the protocol of the request's service."""
        if self.opened is None or not self.is_query:
            return error.status, errors.json_body(error)
        xmlns = xml.namespace(self.opened.service.name, self.opened.service.version)
        return errors.query_body(error, xmlns, self.request_id)


class AwsApp:
    """Serves `POST /`, and presigned GETs of Query services, for the given services."""

    def __init__(
        self,
        opened: Sequence[tuple[Service[Any], Any]],
        verifier: Verifier,
        access: Access,
        request_sources: RequestSources,
        settings: Settings,
        recorder: Recorder | None = None,
    ) -> None:
        """`recorder` takes the events of the audit record; with None, none are recorded."""
        self._recorder = recorder
        self._services = {service.name: Opened(service, services) for service, services in opened}
        self._targets = {
            service.version: self._services[service.name] for service, _ in opened if service.protocol == "json"
        }
        self._verifier = verifier
        self._access = access
        self._request_sources = request_sources
        self._large_bodies = LargeBodies(settings.data / "tmp", settings.part_uploads_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = AwsRequest(scope, receive)
        refusal: MoorageError | None = None
        body = b""
        try:
            body = await self._carry_out(request)
        except MoorageError as error:
            # The traceback refers to this frame, which refers to the error: a reference cycle for each refusal.
            refusal = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - a fault of ours must still be answered, and is logged
            _log.error("request failed", request_id=request.request_id, exc_info=error)
            refusal = ServerFault()
        if isinstance(refusal, AccessDenied) and refusal.decision_id:
            request.request_id = refusal.decision_id
        try:
            await self._note(request, refusal)
        except Exception as error:  # noqa: BLE001 - what was done must still be answered
            _log.error("event not recorded", request_id=request.request_id, exc_info=error)
        line = scope.get(ACCESS_LINE)
        if line is not None:
            _describe(request, line)
        if isinstance(refusal, InsufficientStorage):
            refused_for_space.warning("refused: no space left", operation=request.operation)
        status, body = (200, body) if refusal is None else request.refusal(refusal)
        await _answer(send, status, request, body)
        if isinstance(refusal, RequestTooLarge):
            await read_on(scope, receive)

    async def _carry_out(self, request: AwsRequest) -> bytes:
        """Carry out the request, and return the body of a successful response."""
        request.opened = opened = self._opened(request)
        request.connection = connection = self._request_sources.connection(request.scope, request.headers)
        if opened is not None and opened.service.protocol == "query":
            return await self._query(request, connection, opened)
        return await self._json(request, connection)

    def _opened(self, request: AwsRequest) -> Opened | None:
        """Return the service of a request: by X-Amz-Target, else by the scope of the signature, else by its
        Content-Type."""
        target = request.headers.get(b"x-amz-target")
        if target is not None:
            return self._targets.get(target.decode("latin-1").partition(".")[0])
        named = scope_service(request.headers, request.scope["query_string"])
        if named is not None:
            return self._services.get(named)
        if request.headers.get(b"content-type", b"").startswith(_FORM):
            return self._services.get("iam")
        return None

    async def _json(self, request: AwsRequest, connection: Connection) -> bytes:
        opened, operation = self._target(request)
        request.operation = operation.name
        claim = await self._verifier.begin(request.scope, request.headers, opened.service.name, host=connection.host)
        length, limit = self._length(request), operation.body_limit
        if limit <= _LARGE_BODY:
            body = await read_body(request.receive, length, limit)
            request.caller = await self._verifier.finish(claim, body)
            return await self._json_verified(
                request, connection, opened, operation, claim, _decoded(opened, operation, body)
            )
        receive, source_ip = request.receive, connection.source_ip
        async with self._large_bodies.verified(receive, length, limit, claim, self._verifier, source_ip) as body:
            request.caller = claim.caller
            parameters = _decoded(opened, operation, body)
            del body  # which is long
            return await self._json_verified(request, connection, opened, operation, claim, parameters)

    async def _json_verified(
        self,
        request: AwsRequest,
        connection: Connection,
        opened: Opened,
        operation: Operation,
        claim: Claim,
        parameters: Any,
    ) -> bytes:
        return _encode(
            await self._decided(request, connection, opened, operation, claim.signed.region, claim.caller, parameters)
        )

    def _length(self, request: AwsRequest) -> int | None:
        """Return the announced length of the body; None if it is chunked."""
        try:
            return content_length(request.headers)
        except ValueError:
            raise Serialization("Content-Length is not a number") from None

    def _target(self, request: AwsRequest) -> tuple[Opened, Operation]:
        """Return the service and operation that X-Amz-Target names. Raise UnknownOperation if there is none."""
        prefix, _, name = request.headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
        opened = self._targets.get(prefix)
        operation = None if opened is None else opened.service.operations.get(name)
        if opened is None or operation is None or request.scope["method"] != "POST":
            if not prefix and b"authorization" not in request.headers:
                raise MissingAuthenticationToken
            raise UnknownOperation
        return opened, operation

    async def _query(self, request: AwsRequest, connection: Connection, opened: Opened) -> bytes:
        service = opened.service
        if not request.signed:
            return await self._unsigned(request, connection)
        claim = await self._verifier.begin(request.scope, request.headers, service.name, host=connection.host)
        body = await read_body(request.receive, self._length(request), BODY_LIMIT)
        request.caller = await self._verifier.finish(claim, body)
        if request.scope["method"] != "POST" and not request.caller.verified:
            # A web page of any site could make a browser send it, with a key that anybody can guess.
            raise QueryError("AccessDenied", "A key that is not verified (dev mode) can only be used with POST.", 403)
        form = query.parse_form(body, request.scope["query_string"])
        name, version = form.get("Action", ""), form.get("Version")
        request.operation = name
        operation = service.operations.get(name)
        if operation is None or version not in {None, service.version}:
            raise UnknownOperation(f"Could not find operation {name} for version {version}")
        parameters = query.decode(service.requests[name], form)
        if operation.authenticate is not None:
            request.caller = await operation.authenticate(opened.services, parameters)
        return await self._answered(
            request, connection, opened, operation, claim.signed.region, request.caller, parameters
        )

    async def _unsigned(self, request: AwsRequest, connection: Connection) -> bytes:
        """Carry out an operation whose request proves who calls; every other one must be signed."""
        body = await read_body(request.receive, self._length(request), _UNSIGNED_BODY)
        form = query.parse_form(body, request.scope["query_string"])
        name = form.get("Action", "")
        for opened in self._services.values():
            operation = opened.service.operations.get(name)
            if operation is None or operation.authenticate is None:
                continue
            request.opened, request.operation = opened, name
            parameters = query.decode(opened.service.requests[name], form)
            request.caller = await operation.authenticate(opened.services, parameters)
            return await self._answered(
                request, connection, opened, operation, connection.region, request.caller, parameters
            )
        raise MissingAuthenticationToken

    async def _answered(
        self,
        request: AwsRequest,
        connection: Connection,
        opened: Opened,
        operation: Operation,
        region: Region,
        caller: Caller,
        parameters: Any,
    ) -> bytes:
        response = await self._decided(request, connection, opened, operation, region, caller, parameters)
        xmlns = xml.namespace(opened.service.name, opened.service.version)
        return xml.response_document(operation.name, xmlns, response, request.request_id)

    async def _decided(
        self,
        request: AwsRequest,
        connection: Connection,
        opened: Opened,
        operation: Operation,
        region: Region,
        caller: Caller,
        parameters: Any,
    ) -> Any:
        """Run the operation once everything it declares is allowed, and return its response."""
        request.region = region
        request.asked = recorded_call.request_parameters(parameters)
        if self._recorder is not None and recorded_call.is_write(operation.name):
            await self._recorder.admit(caller)
        if connection.region != region:
            connection = msgspec.structs.replace(connection, region=region)
        call = Call(
            opened.services,
            caller,
            connection,
            AccountId(caller.principal.account),
            region,
            request.request_id,
            "https" if connection.secure else "http",
            connection.host,
            request.remarks,
        )
        if operation.action is not AUTHENTICATED:
            await self._decide(call, operation, parameters)
        response = await operation.run(call, parameters)
        request.responded = recorded_call.response_elements(operation.name, response)
        return response

    async def _decide(self, call: Call[Any], operation: Operation, parameters: Any) -> None:
        """Decide what the operation declares. Raise AccessDenied or UndecidedError."""
        actions = operation.actions(call, parameters)
        resources = await operation.resources(call, parameters)
        found = operation.conditions(call, parameters)
        conditions = await found if isinstance(found, Awaitable) else found
        # An id identifies one decision; if there are several, the one that denies gives the request its id.
        decision_id = call.request_id if len(resources) == len(actions) == 1 else None
        await decide(
            self._access, call.caller, call.connection, actions, resources, values=conditions, decision_id=decision_id
        )

    async def _note(self, request: AwsRequest, refusal: MoorageError | None) -> None:
        """Record the event of this request. An unverified caller is recorded only if the named key exists here."""
        opened, connection = request.opened, request.connection
        if self._recorder is None or opened is None or connection is None:
            return
        caller = request.caller
        if caller is None:
            caller = await self._verifier.claimant(request.headers, request.scope["query_string"])
            if caller is None:
                return
        code = None
        if refusal is not None:
            code = errors.query_code(refusal)[0] if request.is_query else refusal.code
        noted = self._recorder.record_event(
            AuditEvent(
                id=request.request_id,
                source=f"{opened.service.name}.amazonaws.com",
                name=request.operation if request.operation in opened.service.operations else "Unknown",
                region=request.region or connection.region,
                caller=caller,
                connection=connection,
                read_only=recorded_call.reads_only(request.operation),
                request=request.asked,
                response=request.responded,
                error_code=code,
                # The message may quote the whole request.
                error_message=None if refusal is None else truncated(refusal.message),
                authenticated=request.caller is not None,
            )
        )
        if refusal is not None:  # equal failures share an event, whose id each response has
            request.request_id = noted


def _describe(request: AwsRequest, line: AccessLine) -> None:
    line.request_id = request.request_id
    if request.opened is not None and request.operation in request.opened.service.operations:
        line.operation = f"{request.opened.service.name}:{request.operation}"
    if request.caller is not None:
        line.principal = request.caller.principal.arn


def _decoded(opened: Opened, operation: Operation, body: bytes) -> Any:
    """Return the typed request in a JSON body, or raise the error of the service's family."""
    return json11.decode(
        opened.service.requests[operation.name],
        body,
        joins_all=operation.name in opened.service.joins_violations,
        joined=opened.service.joined,
        wording=opened.service.wording,
    )


def _request_id() -> str:
    """Return a random UUID, several times faster than `uuid` does."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


async def _answer(send: Send, status: int, request: AwsRequest, body: bytes) -> None:
    await respond(
        send,
        status,
        (
            (b"content-type", errors.XML if request.is_query else errors.JSON),
            (b"content-length", str(len(body)).encode()),
            (b"x-amzn-requestid", request.request_id.encode()),
            *((name.encode(), text.encode("ascii")) for name, text in request.remarks.items()),
        ),
        b"" if request.scope["method"] == "HEAD" else body,
    )
