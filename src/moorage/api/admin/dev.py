"""What only dev mode has: all emptied, the clock set, faults made. Nobody signs these; no web page reaches them."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.api.admin.service import BODY_LIMIT, AdminServices, decoded
from moorage.api.asgi import content_length, headers_of, read_body
from moorage.api.faults import Rule
from moorage.errors import MoorageError, Serialization


class ClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What time it is from now on, in seconds since the epoch."""

    now: float


class OneWorkerOnly(MoorageError):
    """What is kept in one process's memory cannot be set for several."""

    code = "OneWorkerOnlyException"
    status = 409

    def __init__(self) -> None:
        super().__init__("The clock and faults are of one process: start with --workers 1 to set them.")


def routes(services: AdminServices) -> list[Route]:
    async def reset(request: Request) -> Response:
        services.connection(request)
        await services.reset()
        services.faults.clear()
        return JSONResponse({"status": "ok"})

    async def set_clock(request: Request) -> Response:
        services.clock.set(decoded(await read(request), ClockRequest).now)
        return JSONResponse({"now": services.clock.now()})

    async def faults(request: Request) -> Response:
        if request.method == "POST":
            services.faults.add(decoded(await read(request), Rule))
        else:
            services.connection(request)
        return shown()

    async def clear_faults(request: Request) -> Response:
        services.connection(request)
        services.faults.clear()
        return shown()

    def shown() -> Response:
        return JSONResponse({"faults": msgspec.to_builtins(services.faults.rules)})

    async def read(request: Request) -> bytes:
        """The body of a request that sets something in this process."""
        services.connection(request)
        if services.settings.workers > 1:
            raise OneWorkerOnly
        try:
            length = content_length(headers_of(request.scope))
        except ValueError as error:
            raise Serialization(str(error)) from error
        return await read_body(request.receive, length, BODY_LIMIT)

    return [
        Route("/_moorage/reset", reset, methods=["POST"]),
        Route("/moto-api/reset", reset, methods=["POST"]),
        Route("/_moorage/clock", set_clock, methods=["POST"]),
        Route("/_moorage/faults", faults, methods=["GET", "POST"]),
        Route("/_moorage/faults/clear", clear_faults, methods=["POST"]),
    ]
