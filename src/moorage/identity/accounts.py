"""Accounts kept here."""

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.names import AccountId
from moorage.store.metadata import epoch, identities
from moorage.store.metadata.database import Database


class Accounts:
    """Makes accounts and knows which there are."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def ensure(self, account: AccountId, name: str = "") -> None:
        """The account is there from here on; one that was there keeps its name."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            if identities.ensure_account(conn, account, name, at):
                epoch.advance(conn)

        await self._db.transaction(work)

    async def exists(self, account: AccountId) -> bool:
        return await self._db.read(lambda conn: identities.account_exists(conn, account))

    async def created_at(self, account: AccountId) -> float | None:
        """When the account was made; None when it is not kept here (dev mode's open accounts)."""
        return await self._db.read(lambda conn: identities.account_made_at(conn, account))
