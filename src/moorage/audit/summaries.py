"""Requests that have no row of their own in the audit record, counted: one event an hour for a principal."""

from typing import Final

from moorage.access.caller import Connection
from moorage.audit.bounds import Owner
from moorage.audit.records import NOTHING, Event
from moorage.audit.rows import OMITTED, Ids

_HOUR: Final = 3600.0
_MOST: Final = 1024
"""Principals (with the account they called) that are counted at once; further ones are in the metrics alone."""


class Summaries:
    """Counts requests by their principal and the account that they were about."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._events: dict[tuple[Owner, str], Event] = {}

    def count(self, event: Event, owner: Owner) -> bool:
        """Count a request. Returns whether it is the first of its principal since `take`."""
        decisions = event.connection.decisions[:1]
        account = decisions[0].decision.request.resource_account if decisions else ""
        same = self._events.get((owner, account))
        if same is not None:
            same.count += 1
            same.last = event.at
            return False
        if len(self._events) >= _MOST:
            return False
        self._events[owner, account] = Event(
            id=self._ids.of("summary", event.at // _HOUR, owner, account),
            source="moorage",
            name="RequestsOmitted",
            region=event.region,
            caller=event.caller,
            connection=Connection("", True, None, None, "", event.region, decisions),
            read_only=True,
            request=NOTHING,
            authenticated=event.authenticated,
            more={OMITTED: True},
            at=event.at,
            last=event.at,
        )
        return True

    def take(self) -> list[Event]:
        """What was counted since the last time."""
        taken, self._events = list(self._events.values()), {}
        return taken
