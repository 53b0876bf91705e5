"""Tags of users, roles and managed policies."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.events.identity import IdentityTagged, IdentityUntagged
from moorage.identity import errors
from moorage.identity.policies import managed_policies
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import KINDS
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities

TAGS: Final = 50
_IN_TAGS: Final = frozenset("_.:/=+-@")


def is_tag_text(text: str) -> bool:
    """Return whether tag keys and values may contain these characters: `[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*`."""
    return all(each in _IN_TAGS or unicodedata.category(each)[0] in "LZN" for each in text)


def problem_of(tags: Mapping[str, str]) -> str | None:
    """Return why IAM refuses these tags of one user, role or policy; None if it accepts them."""
    if len(tags) > TAGS:
        return f"more than {TAGS} tags"
    if len({key.lower() for key in tags}) < len(tags):
        return "tag keys that differ only in case are the same key"
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            return "tag keys starting with 'aws:' are reserved"
        if not 1 <= len(key) <= 128 or len(value) > 256:
            return "a tag key has 1 to 128 characters, a tag value at most 256"
        if not is_tag_text(key) or not is_tag_text(value):
            return "tags can contain letters, digits, spaces and _.:/=+-@"
    return None


def put(
    conn: Connection, kind: str, account: AccountId, name: str, tags: Mapping[str, str], *, by: str, at: float
) -> None:
    """Set tags and keep the others. `kind`, `name`: as for `Tags`. NoSuchEntity; LimitExceeded past 50 tags."""
    owner_id = _modifiable_owner(conn, kind, account, name)
    identities.set_tags(conn, owner_id, tags)
    if len(identities.tags(conn, owner_id)) > TAGS:
        raise errors.over_limit(f"The number of tags has reached the maximum limit: {TAGS}.")
    events.record(conn, IdentityTagged(at=at, account=account, by=by, identity_id=owner_id, keys=tuple(tags)))


def remove(
    conn: Connection, kind: str, account: AccountId, name: str, keys: Sequence[str], *, by: str, at: float
) -> None:
    """Remove tags by key; keys without a tag are no error. `kind`, `name`: as for `Tags`. NoSuchEntity."""
    owner_id = _modifiable_owner(conn, kind, account, name)
    identities.untag(conn, owner_id, keys)
    events.record(conn, IdentityUntagged(at=at, account=account, by=by, identity_id=owner_id, keys=tuple(keys)))


class Tags:
    """Reads and changes tags.

    `kind` is `user`, `role` or `policy`; `name` is the owner's name or, of a policy, its ARN. NoSuchEntity if there is
    no such owner.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def of(self, owner_id: str) -> dict[str, str]:
        """Return the tags of the owner with that unique id, by key."""
        return await self._db.read(lambda conn: identities.tags(conn, owner_id))

    async def get(self, kind: str, account: AccountId, name: str) -> dict[str, str]:
        """Return the tags by key."""
        return await self._db.read(lambda conn: identities.tags(conn, _owner(conn, kind, account, name)))

    async def set(self, kind: str, account: AccountId, name: str, tags: Mapping[str, str], by: str) -> None:
        """Set tags, as `put` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: put(conn, kind, account, name, tags, by=by, at=at))

    async def remove(self, kind: str, account: AccountId, name: str, keys: Sequence[str], by: str) -> None:
        """Remove tags, as `remove` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: remove(conn, kind, account, name, keys, by=by, at=at))


def _owner(conn: Connection, kind: str, account: AccountId, name: str) -> str:
    """Return the unique id of a user, role or policy."""
    if kind == "policy":
        return managed_policies.get(conn, account, name).id
    return lookup.get(conn, KINDS[kind], account, name).id


def _modifiable_owner(conn: Connection, kind: str, account: AccountId, name: str) -> str:
    if kind == "policy":
        return managed_policies.own(conn, account, name).id
    return lookup.modifiable(conn, KINDS[kind], account, name).id
