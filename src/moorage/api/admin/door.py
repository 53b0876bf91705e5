"""The administration door: Starlette routes, none of them hot. What changes or tells anything is signed (`moorage`).

One module a capability beside this file, each with `routes(services)`.
"""

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from moorage.api.admin import (
    access,
    apply,
    audit,
    dev,
    explain,
    generate,
    health,
    organization,
    password,
    replay,
    tokens,
    trash,
)
from moorage.api.admin.service import AdminServices
from moorage.api.admin.trail import Trailed, failed
from moorage.errors import MoorageError, ServerFault

_log = structlog.get_logger()


def admin_door(services: AdminServices) -> Trailed:
    """The ASGI application for `/_moorage/…`, `/metrics`, and the health and reset paths of other local clouds."""
    capabilities = [access, apply, audit, explain, generate, health, organization, password, replay, tokens, trash]
    if services.settings.dev:
        capabilities.append(dev)
    routes = [route for capability in capabilities for route in capability.routes(services)]
    app = Starlette(routes=routes, exception_handlers={MoorageError: _refused, Exception: _broken})
    return Trailed(app, services.recorder)


async def _refused(request: Request, error: Exception) -> Response:
    failed(request, error)
    assert isinstance(error, MoorageError)  # noqa: S101 - Starlette hands it over by class
    return JSONResponse({"__type": error.code, "message": error.message}, error.status)


async def _broken(request: Request, error: Exception) -> Response:
    failed(request, error)
    _log.error("administration call failed", path=request.url.path, exc_info=error)
    return JSONResponse({"__type": ServerFault.code, "message": ServerFault().message}, 500)
