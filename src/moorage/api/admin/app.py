"""The ASGI application for Moorage's own API: Starlette routes. All calls but a few must be signed (service `moorage`).

`operations.py` lists the operations. The steps of every call: check the host; verify
the signature; decode the body; decide; run the operation; record its event.
"""

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from moorage.api.admin import recorded_call
from moorage.api.admin.operation import Call, Operation
from moorage.api.admin.operations import ADMIN, DEV
from moorage.api.admin.service import AdminServices
from moorage.api.asgi import ACCESS_LINE, Receive, Scope, Send, content_length, headers_of, read_body
from moorage.api.authorization import UNAUTHENTICATED, Exempt, decide
from moorage.errors import MoorageError, Serialization, ServerFault

_log = structlog.get_logger()


def admin_app(services: AdminServices) -> Router:
    """Return the application for `/_moorage/…`, `/metrics`, and the health and reset paths of other local clouds."""
    operations = [*ADMIN, *(DEV if services.settings.dev else ())]
    routes = [Route(each.path, _Endpoint(services, each), methods=[each.method]) for each in operations]
    return Router(routes, redirect_slashes=False)


class _Endpoint:
    """One operation as an ASGI application. Every request gets a response, and is recorded if it was signed."""

    def __init__(self, services: AdminServices, operation: Operation) -> None:
        self._services = services
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(self._services, Request(scope, receive))
        try:
            await self._admit(call)
            response = await self._operation.run(call, call.request)
        except MoorageError as error:
            response = _refusal(call, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must still be answered, and is logged
            _log.error("administration call failed", path=scope["path"], exc_info=error)
            response = _refusal(call, ServerFault())
        try:
            await response(scope, receive, send)
        finally:
            if self._operation.needs_event(call):
                request_id = self._services.recorder.record_event(recorded_call.event(call, self._operation))
                line = scope.get(ACCESS_LINE)
                if line is not None:
                    line.operation, line.request_id = f"moorage:{self._operation.event}", request_id
                    line.principal = call.by if call.authenticated else None

    async def _admit(self, call: Call) -> None:
        """Verify the signature, decode the request, and decide what the operation declares."""
        operation, scope = self._operation, call.http.scope
        headers = headers_of(scope)
        if not operation.any_host:
            call.connect(self._services.request_sources.connection(scope, headers))
        if operation.action is not UNAUTHENTICATED:
            await self._verify(call, headers)
        elif operation.request is not None:
            call.body = await read_body(call.http.receive, _length(headers), operation.body_limit)
        call.request = operation.decoded(call.body)
        if call.is_signed and not operation.only_reads(call):
            await self._services.recorder.admit(call.caller)
        if not isinstance(operation.action, Exempt):
            actions = operation.actions(call, call.request)
            call.targets = await operation.targets(call, call.request)
            await decide(self._services.access, call.caller, call.connection, actions, call.targets)

    async def _verify(self, call: Call, headers: dict[bytes, bytes]) -> None:
        """Read the body and verify the signature over it (service `moorage`)."""
        length = _length(headers)
        verifier, scope = self._services.verifier, call.http.scope
        try:
            claim = await verifier.begin(scope, headers, "moorage", host=call.connection.host)
            body = await read_body(call.http.receive, length, self._operation.body_limit)
            caller = await verifier.finish(claim, body)
        except MoorageError:
            claimant = await verifier.claimant(headers, scope["query_string"])
            if claimant is not None:
                call.signed_by(claimant, call.connection.region, verified=False)
            raise
        call.body = body
        call.signed_by(caller, claim.signed.region, verified=True)


def _length(headers: dict[bytes, bytes]) -> int | None:
    try:
        return content_length(headers)
    except ValueError as error:
        raise Serialization(str(error)) from error


def _refusal(call: Call, error: MoorageError) -> Response:
    call.failure = error
    return JSONResponse({"__type": error.code, "message": error.message}, error.status)
