"""DecodeAuthorizationMessage: a denial in full, for who may know it.

AWS hands out an encoded message with some denials. Here every denial has an id (on ECR's door the request id), which
stands for its record; what of it is told is what `moorage why` would tell the same caller.
"""

import json
from collections.abc import Mapping
from typing import Any

from moorage.analysis.why import DecisionNotFound
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields
from moorage.api.sts.service import STS, StsCall, no_resource
from moorage.errors import QueryError


@STS.operation("DecodeAuthorizationMessage", action="sts:DecodeAuthorizationMessage", resource=no_resource)
async def decode_authorization_message(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    """DecodedMessage in the form of the STS API reference. InvalidAuthorizationMessageException."""
    try:
        told = await call.services.why.explain(fields.encoded_message(request).strip(), call.caller, call.connection)
    except DecisionNotFound as error:
        raise QueryError("InvalidAuthorizationMessageException", "Message is not valid") from error
    return {"DecodedMessage": json.dumps(_message(told))}


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
