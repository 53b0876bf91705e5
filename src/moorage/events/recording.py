"""Recording events: the one place where the outbox is written and the authorization epoch is raised."""

import msgspec
from sqlalchemy import Connection

from moorage.events.event import Authorization, Event, RegistryEvent, kind_of
from moorage.store.metadata import epoch
from moorage.store.metadata.events import outbox

_encode = msgspec.json.Encoder().encode


def record(conn: Connection, event: Event) -> None:
    """Write the event into the outbox, and raise the authorization epoch if the event can change a decision.

    Call it in the transaction that makes the change: either both are committed, or neither.
    """
    outbox.add(
        conn,
        at=event.at,
        account=event.account,
        region=event.region if isinstance(event, RegistryEvent) else "",
        kind=kind_of(event),
        payload=_encode(event).decode(),
    )
    if event.authorization is Authorization.ACCOUNT:
        epoch.advance(conn)
    elif event.authorization is Authorization.REPOSITORY:
        epoch.advance_repository(conn)
