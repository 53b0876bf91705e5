"""Identities and registries over one database, or over one transaction of it."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from moorage.identity.identity import Identity
from moorage.registry.registry import Registry
from moorage.store.metadata.database.database import Database


class Nouns(NamedTuple):
    """All that a declarative file can speak of."""

    identity: Identity
    registry: Registry


Over: TypeAlias = Callable[[Database], Nouns]
"""Makes them."""
