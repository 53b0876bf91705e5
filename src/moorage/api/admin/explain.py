"""Explains why a request was allowed or denied."""

from starlette.responses import Response

from moorage.analysis.explainer import DecisionNotFound
from moorage.api.admin.operation import Call, json_response


# BY_STATE: callers may ask about their own requests, administrators about those of their account and on its resources.
# `Explainer` decides what each of them may see.
async def explain(call: Call, _request: None) -> Response:
    """Return the decision with that id, by default the caller's last denial."""
    decision = call.http.path_params.get("decision")
    if decision is not None and not decision.isprintable():
        raise DecisionNotFound
    explained = await call.services.explainer.explain(decision, call.caller, call.connection)
    return json_response(explained)
