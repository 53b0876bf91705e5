"""Builds CloudTrail events from rows of the audit record (docs/development/ecr-behavior.md, section 14)."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from moorage.access.context import instant
from moorage.audit.cloudtrail_event import (
    AdditionalEventData,
    CloudTrailEvent,
    EventDecision,
    EventResource,
    SessionAttributes,
    SessionContext,
    SessionIssuer,
    UserIdentity,
    WebIdentity,
)
from moorage.audit.event import EventDetail
from moorage.audit.shared_values import RecordedCaller
from moorage.store.metadata.audit.tables import EventRow

VERSION: Final = "1.08"
_TYPES: Final[Mapping[str, str]] = {
    "root": "Root",
    "user": "IAMUser",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "web": "WebIdentityUser",
    "service": "AWSService",
}
_ANONYMOUS: Final = UserIdentity(type="AWSAccount", principal_id="", account_id="ANONYMOUS_PRINCIPAL")
_NO_SESSION: Final = SessionContext()


def event(
    row: EventRow, detail: EventDetail, caller: RecordedCaller | None, decisions: Sequence[EventDecision]
) -> CloudTrailEvent:
    """Return an event as the account `row.recipient` sees it. `caller`: None if it is no longer stored.

    The account that owns the resource sees who called, but not with which key nor in which session.
    """
    failed = row.error_code is not None
    return CloudTrailEvent(
        event_version=VERSION,
        user_identity=_identity(row, caller),
        event_time=instant(int(row.at)),
        event_source=row.source,
        event_name=row.name,
        aws_region=row.region,
        source_ip_address=row.source_ip,
        user_agent=detail.user_agent or "",
        error_code=UNSET if row.error_code is None else row.error_code,
        error_message=detail.error_message or "" if failed else UNSET,
        request_parameters=detail.request,
        response_elements=detail.response,
        additional_event_data=_additional(row, detail, decisions),
        request_id=row.id,
        event_id=row.id,
        read_only=detail.read_only,
        resources=UNSET if row.resource == "*" else [_resource(row.resource)],
        event_type="AwsApiCall",
        management_event=True,
        recipient_account_id=row.recipient,
        event_category="Management",
        shared_event_id=row.id if detail.shared else UNSET,
    )


def _resource(arn: str) -> EventResource:
    segments = arn.split(":", 5)
    owner = segments[4] if len(segments) == 6 else ""
    return EventResource(arn=arn, account_id=owner, type="AWS::ECR::Repository" if ":repository/" in arn else None)


def _additional(row: EventRow, detail: EventDetail, decisions: Sequence[EventDecision]) -> AdditionalEventData:
    repeated = row.count > 1
    return AdditionalEventData(
        **msgspec.structs.asdict(detail.more),
        count=row.count,
        last_time=instant(int(row.last)) if repeated else None,
        authenticated=detail.authenticated,
        decisions=list(decisions) if detail.decided else None,
        decision_count=detail.decided if detail.decided > len(detail.decisions) else None,
    )


def _identity(row: EventRow, caller: RecordedCaller | None) -> UserIdentity:
    if caller is None:
        return UserIdentity(type="Unknown", arn=row.principal)
    principal = caller.principal
    if principal.kind == "anonymous":
        return _ANONYMOUS
    if row.recipient != principal.account:
        return UserIdentity(
            type="AWSAccount", principal_id=principal.id, arn=principal.arn, account_id=principal.account
        )
    session = _session(caller)
    return UserIdentity(
        type=_TYPES[principal.kind],
        principal_id=principal.id,
        arn=principal.arn,
        account_id=principal.account,
        access_key_id=caller.key_id,
        user_name=UNSET if principal.user_name is None else principal.user_name,
        session_context=UNSET if session == _NO_SESSION else session,
    )


def _session(caller: RecordedCaller) -> SessionContext:
    """Return `sessionContext`, without members for a caller that has no temporary credentials."""
    context = caller.context
    issued_at = context.get("aws:tokenissuetime")
    provider = context.get("aws:federatedprovider")
    return SessionContext(
        session_issuer=_issuer(caller) or UNSET,
        pull_token=context.get("moorage:tokenname", UNSET),
        web_identity=UNSET if provider is None else WebIdentity(federated_provider=provider),
        attributes=UNSET
        if issued_at is None
        else SessionAttributes(
            creation_date=issued_at, mfa_authenticated=context.get("aws:multifactorauthpresent", "false")
        ),
        source_identity=context.get("aws:sourceidentity", UNSET),
    )


def _issuer(caller: RecordedCaller) -> SessionIssuer | None:
    principal = caller.principal
    if principal.role_arn is not None:
        kind, arn, unique_id = "Role", principal.role_arn, principal.role_id
    elif principal.user_arn is not None:
        kind, arn, unique_id = "IAMUser", principal.user_arn, principal.user_id
    else:
        return None
    return SessionIssuer(
        type=kind,
        principal_id=unique_id,
        arn=arn,
        account_id=principal.account,
        user_name=arn.rpartition("/")[2],
    )
