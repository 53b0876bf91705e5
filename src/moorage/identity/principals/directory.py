"""Users, groups and roles looked up: what is the same for the three."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Row

from moorage import pages
from moorage.clock import Clock
from moorage.identity import arns
from moorage.identity.principals.entity import Entity, Kind
from moorage.identity.principals.lookup import named
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities

E = TypeVar("E", bound=Entity)

_AT_A_TIME: Final = 25
"""Identities read together by `each`: a role comes with its trust policy, 128 KiB with white space."""


class Directory(Generic[E]):
    """The identities of one kind. Names do not tell case apart [recall: IAM's look-ups do not]; ARNs do."""

    def __init__(self, db: Database, clock: Clock, kind: Kind, of_row: Callable[[Row[Any]], E]) -> None:
        self._db = db
        self._clock = clock
        self._kind = kind
        self._of_row = of_row

    async def find(self, account: AccountId, name: str) -> E | None:
        """The one of that name."""
        row = await self._db.read(lambda conn: identities.named(conn, self._kind.name, account, name))
        return None if row is None else self._of_row(row)

    async def get(self, account: AccountId, name: str) -> E:
        """The one of that name, or NoSuchEntity."""
        return self._of_row(await self._db.read(lambda conn: named(conn, self._kind, account, name)))

    async def page(self, account: AccountId, prefix: str, *, after: str = "", limit: int) -> list[E]:
        """Those whose path starts with `prefix`, by name from `after` (a name) on."""
        start = identities.folded(after)
        rows = await self._db.read(lambda conn: identities.page(conn, self._kind.name, account, prefix, start, limit))
        return [self._of_row(row) for row in rows]

    def each(self, account: AccountId, prefix: str, *, after: str = "") -> AsyncIterator[E]:
        """The same, one after the other, as many as are asked for; a few are read at a time."""
        return pages.each(
            lambda start, limit: self.page(account, prefix, after=start, limit=limit),
            lambda entity: entity.name,
            after,
            at_a_time=_AT_A_TIME,
        )

    async def by_arn(self, arn: str) -> E | None:
        """The one that has exactly this ARN, path and case too; None when there is none."""
        said = arns.parse_identity(arn)
        if said is None or said.kind != self._kind.name:
            return None
        found = await self.find(said.account, said.name)
        return found if found is not None and found.arn == arn else None

    async def by_id(self, unique_id: str) -> E | None:
        row = await self._db.read(lambda conn: identities.by_id(conn, self._kind.name, unique_id))
        return None if row is None else self._of_row(row)

    async def keeps_any(self, account: AccountId) -> bool:
        """Whether this account has some here: then a policy may name only those (design §4)."""
        return await self._db.read(lambda conn: identities.count(conn, self._kind.name, account)) > 0
