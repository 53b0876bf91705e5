"""Why a request was allowed or denied."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.why import DecisionNotFound
from moorage.api.admin.service import AdminServices


def routes(services: AdminServices) -> list[Route]:
    async def explain(request: Request) -> Response:
        signed = await services.signed(request)
        decision = request.path_params.get("decision")
        if decision is not None and not decision.isprintable():
            raise DecisionNotFound
        return JSONResponse(await services.why.explain(decision, signed.caller, signed.connection))

    return [Route("/_moorage/explain", explain), Route("/_moorage/explain/{decision}", explain)]
