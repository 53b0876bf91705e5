"""Events: what happened, as typed records, written in the transaction in which it happens.

from moorage import events
from moorage.events.registry import ImagePushed

events.record(conn, ImagePushed(at=now, account=…, region=…, repository=…, by=…, digest=…, …))
"""

from moorage.events.event import (
    SERVER,
    AccountEvent,
    Authorization,
    Event,
    RegistryEvent,
    RepositoryEvent,
    of_repository,
)
from moorage.events.recording import record
from moorage.events.vocabulary import AnyEvent

__all__ = [
    "SERVER",
    "AccountEvent",
    "AnyEvent",
    "Authorization",
    "Event",
    "RegistryEvent",
    "RepositoryEvent",
    "of_repository",
    "record",
]
