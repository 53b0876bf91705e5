"""Counts requests that have no row of their own in the audit record: one event an hour for each principal."""

from typing import Final

from moorage.access.caller import Connection
from moorage.audit.bounds import Owner
from moorage.audit.event import NOTHING, AuditEvent, RequestOrigin
from moorage.audit.rows import RecordIds

_HOUR: Final = 3600.0
_OMITTED: Final = RequestOrigin(omitted=True)
_MAX_COUNTED: Final = 1024
"""Most pairs of a principal and an account it called that are counted; more are counted in the metrics only."""


class OmittedRequests:
    """Counts requests by principal and by the account that owns the resource."""

    def __init__(self, ids: RecordIds) -> None:
        self._ids = ids
        self._events: dict[tuple[Owner, str], AuditEvent] = {}

    def count(self, event: AuditEvent, owner: Owner) -> bool:
        """Count a request. Return whether it is the first of its principal and account since `take`."""
        decisions = event.connection.decisions[:1]
        account = decisions[0].decision.request.resource_account if decisions else ""
        same = self._events.get((owner, account))
        if same is not None:
            same.count += 1
            same.last = event.at
            return False
        if len(self._events) >= _MAX_COUNTED:
            return False
        self._events[owner, account] = AuditEvent(
            id=self._ids.of("summary", event.at // _HOUR, owner, account),
            source="moorage",
            name="RequestsOmitted",
            region=event.region,
            caller=event.caller,
            connection=Connection("", True, None, None, "", event.region, decisions),
            read_only=True,
            request=NOTHING,
            authenticated=event.authenticated,
            origin=_OMITTED,
            at=event.at,
            last=event.at,
        )
        return True

    def take(self) -> list[AuditEvent]:
        """Return the events that count the requests since the last call."""
        taken, self._events = list(self._events.values()), {}
        return taken
