"""Health, readiness and metrics. These calls are not signed."""

import ipaddress
from collections.abc import Mapping

from starlette.responses import JSONResponse, PlainTextResponse, Response

from moorage import metrics
from moorage.api.admin.operation import Call


async def ready(call: Call, _request: None) -> Response:
    """Return 503 unless the database and the disk of the blobs can be written. A full disk is ready: pulls work."""
    found = await call.services.readiness.check()
    is_ready = all(found[name] == "ok" for name in ("metadata", "blobs")) or _is_full(found)
    status = "ready" if is_ready else "unavailable"
    return JSONResponse({"status": status, "checks": dict(found)}, 200 if is_ready else 503)


async def health(_call: Call, _request: None) -> Response:
    return JSONResponse({"services": dict.fromkeys(("ecr", "iam", "resourcegroupstaggingapi", "sts"), "running")})


async def exposed(call: Call, _request: None) -> Response:
    """Return the metrics: to loopback alone, unless the setting `metrics_public` is on."""
    services = call.services
    if not services.settings.metrics_public and not _is_loopback(call.connection.source_ip):
        return PlainTextResponse("metrics are for loopback only; see MOORAGE_METRICS_PUBLIC\n", 403)
    await services.measure()
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _is_full(found: Mapping[str, str]) -> bool:
    """Return whether the only problem is missing space on a disk of this server."""
    return found["space"] == "full" and "failed" not in found.values()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
