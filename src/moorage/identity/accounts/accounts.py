"""Accounts that are kept here: the rules, and the class that runs them in transactions."""

from typing import NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.events.identity import AccountAliasCreated, AccountAliasDeleted, AccountCreated
from moorage.identity import errors
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, identities, managed_policies
from moorage.store.metadata.identity import accounts as rows


class AccountCounts(NamedTuple):
    """How many of each an account has (GetAccountSummary)."""

    users: int
    groups: int
    roles: int
    policies: int
    versions: int
    root_has_keys: bool


def ensure(conn: Connection, account: AccountId, name: str = "", *, by: str, at: float) -> None:
    """Create the account unless it exists; an existing one keeps its name."""
    if not rows.exists(conn, account):
        rows.add(conn, account, name, at)
        events.record(conn, AccountCreated(at=at, account=account, by=by))


def set_alias(conn: Connection, account: AccountId, alias: str, *, by: str, at: float) -> None:
    """Give the account this alias instead of the one it has. EntityAlreadyExists if another account has the alias."""
    if rows.with_alias(conn, alias) not in {None, account}:
        raise errors.already_exists(f"The account alias {alias} already exists.")
    ensure(conn, account, by=by, at=at)
    rows.set_alias(conn, account, alias)
    events.record(conn, AccountAliasCreated(at=at, account=account, by=by, alias=alias))


def delete_alias(conn: Connection, account: AccountId, alias: str, *, by: str, at: float) -> None:
    """Remove the alias of the account. NoSuchEntity if it does not have this one."""
    if rows.alias(conn, account) != alias:
        raise errors.no_such(f"The account alias {alias} cannot be found.")
    rows.set_alias(conn, account, None)
    events.record(conn, AccountAliasDeleted(at=at, account=account, by=by, alias=alias))


class Accounts:
    """Creates accounts and tells which there are."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def ensure(self, account: AccountId, name: str = "", *, by: str) -> None:
        """Create the account unless it exists, as `ensure` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: ensure(conn, account, name, by=by, at=at))

    async def exists(self, account: AccountId) -> bool:
        """Return whether the account was created."""
        return await self._db.read(lambda conn: rows.exists(conn, account))

    async def known(self) -> list[AccountId]:
        """Return every account that has anything here, dev mode's open accounts included, in order."""
        return [AccountId(each) for each in await self._db.read(rows.known)]

    async def created_at(self, account: AccountId) -> float | None:
        """Return when the account was created; None for one that was not (dev mode's open accounts)."""
        return await self._db.read(lambda conn: rows.created_at(conn, account))

    async def counts(self, account: AccountId) -> AccountCounts:
        """Return how many users, groups and so on the account has."""

        def work(conn: Connection) -> AccountCounts:
            return AccountCounts(
                identities.count(conn, USER.name, account),
                identities.count(conn, GROUP.name, account),
                identities.count(conn, ROLE.name, account),
                managed_policies.count(conn, account),
                managed_policies.count_versions(conn, account),
                bool(access_keys.of_owner(conn, account, None)),
            )

        return await self._db.read(work)

    async def alias(self, account: AccountId) -> str | None:
        """Return the alias of the account, which is unique among all accounts here, or None."""
        return await self._db.read(lambda conn: rows.alias(conn, account))

    async def set_alias(self, account: AccountId, alias: str, by: str) -> None:
        """Set the alias, as `set_alias` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: set_alias(conn, account, alias, by=by, at=at))

    async def delete_alias(self, account: AccountId, alias: str, by: str) -> None:
        """Remove the alias, as `delete_alias` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete_alias(conn, account, alias, by=by, at=at))
