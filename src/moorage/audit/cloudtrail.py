"""Events in CloudTrail's shape (docs/development/ecr-behavior.md §14), made from the record's rows when they are
read."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from moorage.access.context import instant
from moorage.audit.recorder import EventDetail
from moorage.audit.shared_values import KeptCaller
from moorage.store.metadata.audit.audit import Row

VERSION: Final = "1.08"
_TYPES: Final[Mapping[str, str]] = {
    "root": "Root",
    "user": "IAMUser",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "web": "WebIdentityUser",
    "service": "AWSService",
}
_ANONYMOUS: Final = {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}


def event(row: Row, detail: EventDetail, caller: KeptCaller | None, decisions: Sequence[Mapping[str, Any]]) -> Any:
    """One event of the account `row["recipient"]`. `decisions`: what it rests on, in Moorage's own form.

    The account that owns the resource is told who called, not with which key nor in what session.
    """
    of_repository = row["resource"] != "*" and ":repository/" in row["resource"]
    told: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": _identity(row, caller),
        "eventTime": instant(int(row["at"])),
        "eventSource": row["source"],
        "eventName": row["name"],
        "awsRegion": row["region"],
        "sourceIPAddress": row["source_ip"],
        "userAgent": detail.user_agent or "",
    }
    if row["error_code"] is not None:
        told["errorCode"] = row["error_code"]
        told["errorMessage"] = detail.error_message or ""
    told |= {
        "requestParameters": msgspec.json.decode(detail.request),
        "responseElements": msgspec.json.decode(detail.response),
        "additionalEventData": _additional(row, detail, decisions),
        "requestID": row["id"],
        "eventID": row["id"],
        "readOnly": detail.read_only,
    }
    if row["resource"] != "*":
        told["resources"] = [
            {"ARN": row["resource"], "accountId": _owner(row["resource"])}
            | ({"type": "AWS::ECR::Repository"} if of_repository else {})
        ]
    told |= {
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": row["recipient"],
        "eventCategory": "Management",
    }
    if detail.shared:
        told["sharedEventID"] = row["id"]
    return told


def _owner(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def _additional(row: Row, detail: EventDetail, decisions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is Moorage's own: how often, on what decisions."""
    told: dict[str, Any] = dict(detail.more)
    if row["count"] > 1:
        told["count"] = row["count"]
        told["lastTime"] = instant(int(row["last"]))
    if not detail.authenticated:
        told["authenticated"] = False
    if detail.decided:
        told["decisions"] = list(decisions)
    if detail.decided > len(detail.decisions):
        told["decisionCount"] = detail.decided
    return told


def _identity(row: Row, caller: KeptCaller | None) -> dict[str, Any]:
    if caller is None:  # its part is no longer kept
        return {"type": "Unknown", "arn": row["principal"]}
    principal = caller.principal
    if principal.kind == "anonymous":
        return dict(_ANONYMOUS)
    if row["recipient"] != principal.account:
        named = {"type": "AWSAccount", "principalId": principal.id, "arn": principal.arn}
        return {**named, "accountId": principal.account}
    told: dict[str, Any] = {
        "type": _TYPES[principal.kind],
        "principalId": principal.id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": caller.key_id,
    }
    if principal.user_name is not None:
        told["userName"] = principal.user_name
    session = _session(caller)
    if session:
        told["sessionContext"] = session
    return told


def _session(caller: KeptCaller) -> dict[str, Any]:
    """sessionContext of temporary credentials."""
    principal, context = caller.principal, caller.context
    session: dict[str, Any] = {}
    if principal.role_arn is not None:
        session["sessionIssuer"] = {
            "type": "Role",
            "principalId": principal.role_id,
            "arn": principal.role_arn,
            "accountId": principal.account,
            "userName": principal.role_arn.rpartition("/")[2],
        }
    elif principal.user_arn is not None:
        session["sessionIssuer"] = {
            "type": "IAMUser",
            "principalId": principal.user_id,
            "arn": principal.user_arn,
            "accountId": principal.account,
            "userName": principal.user_arn.rpartition("/")[2],
        }
    if "moorage:tokenname" in context:  # a pull token, which AWS has not
        session["pullToken"] = context["moorage:tokenname"]
    if "aws:federatedprovider" in context:
        session["webIdFederationData"] = {"federatedProvider": context["aws:federatedprovider"]}
    if "aws:tokenissuetime" in context:
        session["attributes"] = {
            "creationDate": context["aws:tokenissuetime"],
            "mfaAuthenticated": context.get("aws:multifactorauthpresent", "false"),
        }
    if "aws:sourceidentity" in context:
        session["sourceIdentity"] = context["aws:sourceidentity"]
    return session
