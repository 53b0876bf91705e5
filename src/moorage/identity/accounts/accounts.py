"""Accounts kept here."""

from typing import NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.identity.principals.lookup import record
from moorage.names import AccountId
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, accounts, identities, managed_policies


class Stock(NamedTuple):
    """How many of each an account has."""

    users: int
    groups: int
    roles: int
    policies: int
    versions: int
    root_has_keys: bool


class Accounts:
    """Makes accounts and knows which there are."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def ensure(self, account: AccountId, name: str = "") -> None:
        """The account is there from here on; one that was there keeps its name."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            if accounts.ensure(conn, account, name, at):
                epoch.advance(conn)

        await self._db.transaction(work)

    async def exists(self, account: AccountId) -> bool:
        return await self._db.read(lambda conn: accounts.exists(conn, account))

    async def known(self) -> list[AccountId]:
        """Every account that is kept here, dev mode's open ones too, in order."""
        return [AccountId(each) for each in await self._db.read(accounts.known)]

    async def created_at(self, account: AccountId) -> float | None:
        """When the account was made; None when it is not kept here (dev mode's open accounts)."""
        return await self._db.read(lambda conn: accounts.made_at(conn, account))

    async def stock(self, account: AccountId) -> Stock:
        """What the account has."""

        def work(conn: Connection) -> Stock:
            return Stock(
                identities.count(conn, USER.name, account),
                identities.count(conn, GROUP.name, account),
                identities.count(conn, ROLE.name, account),
                managed_policies.count(conn, account),
                managed_policies.count_versions(conn, account),
                bool(access_keys.of_owner(conn, account, None)),
            )

        return await self._db.read(work)

    async def alias(self, account: AccountId) -> str | None:
        """The one name that an account may be called by; unique among all accounts here."""
        return await self._db.read(lambda conn: accounts.alias(conn, account))

    async def set_alias(self, account: AccountId, alias: str, by: str) -> None:
        """In place of the one it had. EntityAlreadyExists when another account has it."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            if accounts.has_alias(conn, alias) not in {None, account}:
                raise errors.already_exists(f"The account alias {alias} already exists.")
            accounts.ensure(conn, account, "", at)
            accounts.set_alias(conn, account, alias)
            record(conn, account, "AccountAliasCreated", at, by, alias=alias)

        await self._db.transaction(work)

    async def delete_alias(self, account: AccountId, alias: str, by: str) -> None:
        """NoSuchEntity when the account is not called so."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            if accounts.alias(conn, account) != alias:
                raise errors.no_such(f"The account alias {alias} cannot be found.")
            accounts.set_alias(conn, account, None)
            record(conn, account, "AccountAliasDeleted", at, by, alias=alias)

        await self._db.transaction(work)
