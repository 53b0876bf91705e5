"""The vocabulary of events: every event can be written and read back as the same class."""

import re
from typing import get_args

import msgspec
import pytest

from moorage.events import AnyEvent, Authorization, Event, RepositoryEvent
from moorage.events.event import kind_of

EVENTS: list[type[Event]] = list(get_args(AnyEvent))
SAMPLES = {"str": "text", "float": 1.5, "int": 7, "bool": True, "tuple": ("a", "b")}


def sample(kind: type[Event]) -> Event:
    """An instance of the class with a value for every field."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        name = getattr(field.type, "__name__", str(field.type))
        values[field.encode_name] = next((value for start, value in SAMPLES.items() if name.startswith(start)), "text")
    return msgspec.convert({**values, "kind": kind.__struct_config__.tag}, kind)


@pytest.mark.parametrize("kind", EVENTS)
def test_events_are_read_back_as_the_class_they_were_written_as(kind: type[Event]) -> None:
    event = sample(kind)
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@pytest.mark.parametrize("kind", EVENTS)
def test_kinds_are_a_noun_and_a_verb(kind: type[Event]) -> None:
    assert re.fullmatch(r"[a-z-]+\.[a-z-]+", kind_of(sample(kind)))


def test_every_event_class_belongs_to_the_vocabulary() -> None:
    def leaves(of: type[Event]) -> set[type[Event]]:
        return set().union(*(leaves(below) for below in of.__subclasses__())) if of.__subclasses__() else {of}

    assert leaves(Event) == set(EVENTS)


def test_an_event_about_a_repository_never_empties_the_caches_of_everything() -> None:
    for kind in EVENTS:
        if issubclass(kind, RepositoryEvent):
            assert kind.authorization is not Authorization.ACCOUNT, kind
