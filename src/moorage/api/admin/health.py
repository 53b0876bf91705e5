"""Whether the server serves, and its metrics. Nobody signs these."""

import ipaddress

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from moorage import metrics
from moorage.api.admin.service import AdminServices


def routes(services: AdminServices) -> list[Route]:
    async def ready(request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    async def health(request: Request) -> Response:
        return JSONResponse({"services": dict.fromkeys(("ecr", "iam", "sts"), "running")})

    async def exposed(request: Request) -> Response:
        connection = services.connection(request)
        if not services.settings.metrics_public and not _is_loopback(connection.source_ip):
            return PlainTextResponse("metrics are for loopback only; see MOORAGE_METRICS_PUBLIC\n", 403)
        await services.measure()
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    return [
        Route("/_moorage/ready", ready),
        Route("/_moorage/health", health),
        Route("/_localstack/health", health),
        Route("/metrics", exposed),
    ]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
