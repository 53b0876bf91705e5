"""DecodeAuthorizationMessage: a denial in full, for callers who may know it.

AWS returns an encoded message with some denials. Here every denial has an id (in the ECR API the request id), which
identifies its record; the response tells what `moorage why` would tell the same caller.
"""

import json
from collections.abc import Mapping
from typing import Any

from moorage.analysis.why import DecisionNotFound
from moorage.api.sts import shapes
from moorage.api.sts.service import StsCall
from moorage.errors import QueryError


async def decode_authorization_message(
    call: StsCall, request: shapes.DecodeAuthorizationMessageRequest
) -> shapes.DecodeAuthorizationMessageResponse:
    """Return the denial in the form of the STS API reference. Raises InvalidAuthorizationMessageException."""
    try:
        explanation = await call.services.why.explain(request.encoded_message.strip(), call.caller, call.connection)
    except DecisionNotFound as error:
        raise QueryError("InvalidAuthorizationMessageException", "Message is not valid") from error
    return shapes.DecodeAuthorizationMessageResponse(decoded_message=json.dumps(_message(explanation)))


def _message(told: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = told["request"]
    return {
        "allowed": told["decision"] == "ALLOW",
        "explicitDeny": told["kind"] == "explicit",
        "matchedStatements": {"items": [each for one in told["sets"] for each in _matched(one)]},
        "failures": {"items": []},
        "context": {
            "principal": {"id": asked["principal"]["id"], "arn": asked["principal"]["arn"]},
            "action": asked["action"],
            "resource": asked["resource"],
            "conditions": {
                "items": [
                    {"key": each["key"], "values": {"items": [{"value": value} for value in each["values"]]}}
                    for each in told["context"]
                ]
            },
        },
    }


def _matched(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        {"statementId": statement["sid"] or "", "effect": statement["effect"].upper(), "policy": policy["name"]}
        for policy in one.get("policies", ())
        for statement in policy["statements"]
        if statement["matched"]
    ]
