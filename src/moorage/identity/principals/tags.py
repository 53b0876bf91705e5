"""Tags of users, roles and managed policies."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.policies import managed_policies
from moorage.identity.principals.entity import KINDS
from moorage.identity.principals.lookup import named, record
from moorage.identity.principals.roles import modifiable
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities

TAGS: Final = 50
_IN_TAGS: Final = frozenset("_.:/=+-@")


def is_tag_text(text: str) -> bool:
    """Whether keys and values of tags may be made of such characters: `[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*`."""
    return all(each in _IN_TAGS or unicodedata.category(each)[0] in "LZN" for each in text)


def fault_of(tags: Mapping[str, str]) -> str | None:
    """Why IAM refuses these tags of one user, role or policy; None if it does not."""
    if len(tags) > TAGS:
        return f"more than {TAGS} tags"
    if len({key.lower() for key in tags}) < len(tags):
        return "tag keys that differ by case alone are the same key"
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            return "tag keys starting with 'aws:' are reserved"
        if not 1 <= len(key) <= 128 or len(value) > 256:
            return "a tag's key has 1 to 128 characters, its value at most 256"
        if not is_tag_text(key) or not is_tag_text(value):
            return "tags have letters, digits, spaces and _.:/=+-@"
    return None


class Tags:
    """Tags by owner: `kind` is `user`, `role` or `policy`, `name` its name or ARN. NoSuchEntity for one not there."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def of(self, owner_id: str) -> dict[str, str]:
        """The tags of the owner with that unique id, by key."""
        return await self._db.read(lambda conn: identities.tags(conn, owner_id))

    async def get(self, kind: str, account: AccountId, name: str) -> dict[str, str]:
        """The tags by key."""
        return await self._db.read(lambda conn: identities.tags(conn, _owner(conn, kind, account, name, change=False)))

    async def set(self, kind: str, account: AccountId, name: str, tags: Mapping[str, str], by: str) -> None:
        """Set these and keep the others. LimitExceeded past 50."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            owner_id = _owner(conn, kind, account, name, change=True)
            identities.set_tags(conn, owner_id, tags)
            if len(identities.tags(conn, owner_id)) > TAGS:
                raise errors.over_limit(f"The number of tags has reached the maximum limit: {TAGS}.")
            record(conn, account, f"{kind.title()}Tagged", at, by, identity_id=owner_id)

        await self._db.transaction(work)

    async def remove(self, kind: str, account: AccountId, name: str, keys: Sequence[str], by: str) -> None:
        """Keys that are not there are no error."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            owner_id = _owner(conn, kind, account, name, change=True)
            identities.untag(conn, owner_id, keys)
            record(conn, account, f"{kind.title()}Untagged", at, by, identity_id=owner_id)

        await self._db.transaction(work)


def _owner(conn: Connection, kind: str, account: AccountId, name: str, *, change: bool) -> str:
    """The unique id of a user, role or policy."""
    if kind == "policy":
        return _policy(conn, account, name, change)
    row: Row[Any] = (
        modifiable(conn, account, name) if change and kind == "role" else named(conn, KINDS[kind], account, name)
    )
    owner_id: str = row.id
    return owner_id


def _policy(conn: Connection, account: AccountId, arn: str, change: bool) -> str:
    if change:
        return managed_policies.own_named(conn, account, arn).id
    policy = managed_policies.find(conn, account, arn)
    if policy is None:
        raise errors.no_managed_policy(arn)
    return policy.id
