"""DecodeAuthorizationMessage: a denial in full, for callers who may know it.

AWS returns an encoded message with some denials. Here every denial has an id (in the ECR API the request id), which
identifies its record; the response tells what `moorage why` would tell the same caller.
"""

import json
from collections.abc import Mapping
from typing import Any

from moorage.analysis.explainer import DecisionNotFound
from moorage.analysis.explanation import ExplainedDecision
from moorage.api.sts import shapes
from moorage.api.sts.service import StsCall
from moorage.errors import QueryError
from moorage.policy.analysis.explanation import ExplainedSet


async def decode_authorization_message(
    call: StsCall, request: shapes.DecodeAuthorizationMessageRequest
) -> shapes.DecodeAuthorizationMessageResponse:
    """Return the denial in the form of the STS API reference. Raises InvalidAuthorizationMessageException."""
    try:
        explained = await call.services.explainer.explain(request.encoded_message.strip(), call.caller, call.connection)
    except DecisionNotFound as error:
        raise QueryError("InvalidAuthorizationMessageException", "Message is not valid") from error
    return shapes.DecodeAuthorizationMessageResponse(decoded_message=json.dumps(_message(explained)))


def _message(explained: ExplainedDecision) -> Mapping[str, Any]:
    principal = explained.request.principal
    return {
        "allowed": explained.decision == "ALLOW",
        "explicitDeny": explained.kind == "explicit",
        "matchedStatements": {"items": [each for one in explained.sets for each in _matched(one)]},
        "failures": {"items": []},
        "context": {
            "principal": {"id": principal.id, "arn": principal.arn},
            "action": explained.request.action,
            "resource": explained.request.resource,
            "conditions": {
                "items": [
                    {"key": each.key, "values": {"items": [{"value": value} for value in each.values]}}
                    for each in explained.context
                ]
            },
        },
    }


def _matched(explained: ExplainedSet) -> list[Mapping[str, Any]]:
    return [
        {"statementId": statement.sid or "", "effect": statement.effect.upper(), "policy": policy.name}
        for policy in explained.policies or ()
        for statement in policy.statements
        if statement.matched
    ]
