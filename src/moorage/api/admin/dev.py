"""What only dev mode has: everything emptied, the clock set. Nobody signs these; no web page reaches them."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.api.admin.service import AdminServices, decoded


class ClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What time it is from now on, in seconds since the epoch."""

    now: float


def routes(services: AdminServices) -> list[Route]:
    async def reset(request: Request) -> Response:
        services.connection(request)
        await services.reset()
        return JSONResponse({"status": "ok"})

    async def set_clock(request: Request) -> Response:
        services.connection(request)
        services.clock.set(decoded(await request.body(), ClockRequest).now)
        return JSONResponse({"now": services.clock.now()})

    return [
        Route("/_moorage/reset", reset, methods=["POST"]),
        Route("/moto-api/reset", reset, methods=["POST"]),
        Route("/_moorage/clock", set_clock, methods=["POST"]),
    ]
