"""Reading users, groups and roles: what is the same for the three."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

from sqlalchemy import Connection

from moorage import pages
from moorage.clock import Clock
from moorage.identity import arns, errors
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import Entity, Kind, entity_of
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities

E = TypeVar("E", bound=Entity)

_AT_A_TIME: Final = 25
"""How many identities `each` reads together. A role comes with its trust policy of up to 128 KiB."""


class Directory(ABC, Generic[E]):
    """The identities of one kind. Names are compared without case [recall: IAM does so]; ARNs with it."""

    kind: Kind

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @abstractmethod
    def _named(self, conn: Connection, account: AccountId, name: str) -> E | None: ...

    @abstractmethod
    def _with_id(self, conn: Connection, unique_id: str) -> E | None: ...

    @abstractmethod
    def _page(self, conn: Connection, account: AccountId, prefix: str, after: str, limit: int) -> list[E]: ...

    async def find(self, account: AccountId, name: str) -> E | None:
        """Return the identity with that name, or None."""
        return await self._db.read(lambda conn: self._named(conn, account, name))

    async def get(self, account: AccountId, name: str) -> E:
        """Return the identity with that name. Raises NoSuchEntity."""
        found = await self.find(account, name)
        if found is None:
            raise errors.no_entity(self.kind.name, name)
        return found

    async def page(self, account: AccountId, prefix: str, *, after: str = "", limit: int) -> list[E]:
        """Return up to `limit` identities whose path starts with `prefix`, by name, after the name `after`."""
        start = identities.folded(after)
        return await self._db.read(lambda conn: self._page(conn, account, prefix, start, limit))

    def each(self, account: AccountId, prefix: str, *, after: str = "") -> AsyncIterator[E]:
        """Iterate over the identities that `page` returns, reading a few at a time."""
        return pages.each(
            lambda start, limit: self.page(account, prefix, after=start, limit=limit),
            lambda entity: entity.name,
            after,
            at_a_time=_AT_A_TIME,
        )

    async def by_arn(self, arn: str) -> E | None:
        """Return the identity with exactly this ARN, path and case included, or None."""
        named = arns.parse_identity(arn)
        if named is None or named.kind != self.kind.name:
            return None
        found = await self.find(named.account, named.name)
        return found if found is not None and found.arn == arn else None

    async def by_id(self, unique_id: str) -> E | None:
        """Return the identity with that unique id, or None."""
        return await self._db.read(lambda conn: self._with_id(conn, unique_id))


class EntityDirectory(Directory[Entity]):
    """The users or the groups."""

    def _named(self, conn: Connection, account: AccountId, name: str) -> Entity | None:
        return lookup.find(conn, self.kind, account, name)

    def _with_id(self, conn: Connection, unique_id: str) -> Entity | None:
        return lookup.with_id(conn, self.kind, unique_id)

    def _page(self, conn: Connection, account: AccountId, prefix: str, after: str, limit: int) -> list[Entity]:
        return [entity_of(row) for row in identities.page(conn, self.kind.name, account, prefix, after, limit)]
