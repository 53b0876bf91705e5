"""Why a request was allowed or denied."""

from starlette.responses import JSONResponse, Response

from moorage.analysis.why import DecisionNotFound
from moorage.api.admin.operation import ADMIN, Call
from moorage.api.authorization import BY_STATE


# BY_STATE: callers may ask about their own requests, administrators about those of their account and on its resources.
# `Why` decides what each may see of the decision that it finds.
@ADMIN.operation("/_moorage/explain", method="GET", action=BY_STATE)
@ADMIN.operation("/_moorage/explain/{decision}", method="GET", action=BY_STATE)
async def explain(call: Call, _request: None) -> Response:
    """The decision of that id, by default the caller's last denial."""
    decision = call.http.path_params.get("decision")
    if decision is not None and not decision.isprintable():
        raise DecisionNotFound
    return JSONResponse(await call.services.why.explain(decision, call.caller, call.connection))
