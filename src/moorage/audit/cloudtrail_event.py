"""CloudTrail's event record as `POST /_moorage/audit` returns it (CloudTrail user guide, "CloudTrail record contents").

Members that an event does not have are absent; members whose value is null are `None`.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from moorage.audit.event import RequestOrigin

E = TypeVar("E")


class SessionIssuer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The role or user that temporary credentials were issued for."""

    type: str
    principal_id: str | None
    arn: str
    account_id: str
    user_name: str


class WebIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The identity provider of a session that was created with a web identity token."""

    federated_provider: str | tuple[str, ...]


class SessionAttributes(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When temporary credentials were issued, and whether with MFA."""

    creation_date: str | tuple[str, ...]
    mfa_authenticated: str | tuple[str, ...]


class SessionContext(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`sessionContext` of temporary credentials. `pull_token` is Moorage's own: the name of a pull token."""

    session_issuer: SessionIssuer | UnsetType = UNSET
    pull_token: str | tuple[str, ...] | UnsetType = UNSET
    web_identity: WebIdentity | UnsetType = msgspec.field(default=UNSET, name="webIdFederationData")
    attributes: SessionAttributes | UnsetType = UNSET
    source_identity: str | tuple[str, ...] | UnsetType = UNSET


class UserIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`userIdentity`. Accounts other than the caller's see its type, principal id, ARN and account."""

    type: str
    principal_id: str | UnsetType = UNSET
    arn: str | UnsetType = UNSET
    account_id: str | UnsetType = UNSET
    access_key_id: str | UnsetType = UNSET
    user_name: str | UnsetType = UNSET
    session_context: SessionContext | UnsetType = UNSET


class EventDecision(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A decision that was made for the request, with the condition-key values that the recipient may see."""

    id: str
    action: str
    resource: str
    allowed: bool
    rule: str
    context: dict[str, str | tuple[str, ...]] | UnsetType = UNSET
    """Absent if the values are no longer stored."""


class AdditionalEventData(RequestOrigin, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`additionalEventData`: where the request came from, how often it was repeated, and the decisions it rests on."""

    count: int = 1
    """Number of equal requests that this event stands for."""
    last_time: str | None = None
    """When the last of several equal requests was made."""
    authenticated: bool = True
    decisions: list[EventDecision] | None = None
    """The first decisions of the request that are still stored."""
    decision_count: int | None = None
    """Number of all decisions, if `decisions` does not list all of them."""


class EventResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A resource of the request and the account that owns it."""

    arn: str = msgspec.field(name="ARN")
    account_id: str
    type: str | None = None
    """`AWS::ECR::Repository`, if it is one."""


class CloudTrailEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of an account."""

    event_version: str
    user_identity: UserIdentity
    event_time: str
    event_source: str
    event_name: str
    aws_region: str
    source_ip_address: str = msgspec.field(name="sourceIPAddress")
    user_agent: str
    error_code: str | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    request_parameters: Any
    """The operation's own parameters: an object, or None."""
    response_elements: Any
    additional_event_data: AdditionalEventData
    request_id: str = msgspec.field(name="requestID")
    event_id: str = msgspec.field(name="eventID")
    read_only: bool
    resources: list[EventResource] | UnsetType = UNSET
    event_type: str
    management_event: bool
    recipient_account_id: str
    event_category: str
    shared_event_id: str | UnsetType = msgspec.field(default=UNSET, name="sharedEventID")


class EventPage(msgspec.Struct, Generic[E], frozen=True):
    """A page of events. A page without events is not the last one if `more` is true: few of many events may match."""

    events: list[E]
    """Each as CloudTrailEvent or as its JSON (`msgspec.Raw`)."""
    position: str | None
    """Where the next page begins. If `more` is false, also the position of events that are still to come."""
    more: bool
