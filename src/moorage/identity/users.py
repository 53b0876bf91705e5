"""Users of an account and their inline policies."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity import faults
from moorage.identity.unique_ids import new_user_id
from moorage.identity.user import User, user_of
from moorage.names import AccountId
from moorage.store.metadata import epoch, identities
from moorage.store.metadata.database import Database

USERS_PER_ACCOUNT: Final = 5000
POLICY_CHARACTERS: Final = 2048
"""All inline policies of one user together, white space not counted (IAM's quotas)."""

_ARN: Final = re.compile(r"arn:aws:iam::([0-9]{12}):user(/(?:.+/)?)([^/]+)")
_SPACE: Final = re.compile(r"\s+")


class PolicyState(NamedTuple):
    """A policy as it was from `at` on; `hash` None once it was deleted."""

    hash: str | None
    at: float
    by: str


class Users:
    """Everything about users; errors are IAM's (`QueryError` with NoSuchEntity, EntityAlreadyExists, …)."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def create(self, account: AccountId, path: str, name: str, by: str) -> User:
        """A new user; its account is made when it is not there. EntityAlreadyExists, LimitExceeded."""
        user = User(new_user_id(), account, name, path, self._clock.now())

        def work(conn: Connection) -> None:
            if identities.user_named(conn, account, name) is not None:
                raise faults.already_exists(f"User with name {name} already exists.")
            if identities.count_users(conn, account) >= USERS_PER_ACCOUNT:
                raise faults.limit_exceeded("UsersPerAccount", USERS_PER_ACCOUNT)
            identities.ensure_account(conn, account, "", user.created_at)
            identities.add_user(conn, user.id, account, name, path, user.created_at)
            _record(conn, user, "UserCreated", user.created_at, by)

        await self._db.transaction(work)
        return user

    async def find(self, account: AccountId, name: str) -> User | None:
        """The user of that name, whatever its case [recall: IAM's look-ups do not tell case apart]."""
        row = await self._db.read(lambda conn: identities.user_named(conn, account, name))
        return None if row is None else user_of(row)

    async def get(self, account: AccountId, name: str) -> User:
        """The user of that name, or NoSuchEntity."""
        return user_of(await self._db.read(lambda conn: _named(conn, account, name)))

    async def page(self, account: AccountId, prefix: str, *, after: str = "", limit: int) -> list[User]:
        """Users whose path starts with `prefix`, by name from `after` (a name) on, case not told apart."""
        start = identities.folded(after)
        rows = await self._db.read(lambda conn: identities.users_page(conn, account, prefix, start, limit))
        return [user_of(row) for row in rows]

    async def delete(self, account: AccountId, name: str, by: str) -> None:
        """End a user and its sessions. NoSuchEntity; DeleteConflict while it has keys or policies."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = _named(conn, account, name)
            if identities.keys(conn, account, row.id):
                raise faults.delete_conflict("Cannot delete entity, must delete access keys first.")
            if identities.policies(conn, row.id):
                raise faults.delete_conflict("Cannot delete entity, must delete policies first.")
            identities.remove_user(conn, row.id)
            _record(conn, user_of(row), "UserDeleted", at, by)

        await self._db.transaction(work)

    async def by_arn(self, arn: str) -> User | None:
        """The user that has exactly this ARN, path and case too; None when there is none."""
        match = _ARN.fullmatch(arn)
        if match is None:
            return None
        user = await self.find(AccountId(match[1]), match[3])
        return user if user is not None and user.arn == arn else None

    async def by_id(self, user_id: str) -> User | None:
        row = await self._db.read(lambda conn: identities.user_by_id(conn, user_id))
        return None if row is None else user_of(row)

    async def keeps_users(self, account: AccountId) -> bool:
        """Whether this account has users here: then a policy may name only those (design §4)."""
        return await self._db.read(lambda conn: identities.count_users(conn, account)) > 0

    async def put_policy(self, account: AccountId, name: str, policy_name: str, text: str, by: str) -> None:
        """Set an inline policy to `text`, which the caller has found to be a policy. NoSuchEntity, LimitExceeded."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = _named(conn, account, name)
            texts = {**identities.policy_texts(conn, row.id), policy_name: text}
            if sum(len(_SPACE.sub("", each)) for each in texts.values()) > POLICY_CHARACTERS:
                raise QueryError(
                    "LimitExceeded",
                    f"Maximum policy size of {POLICY_CHARACTERS} bytes exceeded for user {row.name}",
                    409,
                )
            identities.put_policy(conn, row, policy_name, text, at, by)
            epoch.advance(conn)

        await self._db.transaction(work)

    async def delete_policy(self, account: AccountId, name: str, policy_name: str, by: str) -> None:
        """NoSuchEntity when there is no such user or policy."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            if not identities.remove_policy(conn, _named(conn, account, name), policy_name, at, by):
                raise _no_policy(policy_name)
            epoch.advance(conn)

        await self._db.transaction(work)

    async def policy(self, account: AccountId, name: str, policy_name: str) -> str:
        """The text of an inline policy, as it was given. NoSuchEntity when there is no such user or policy."""

        def work(conn: Connection) -> str:
            texts = identities.policy_texts(conn, _named(conn, account, name).id)
            if policy_name not in texts:
                raise _no_policy(policy_name)
            return texts[policy_name]

        return await self._db.read(work)

    async def policies(self, user_id: str) -> list[tuple[str, str]]:
        """Name and document hash of each inline policy, by name."""
        return await self._db.read(lambda conn: identities.policies(conn, user_id))

    async def policy_history(self, user_id: str, policy_name: str) -> Sequence[PolicyState]:
        """What that policy has been, oldest first."""
        states = await self._db.read(lambda conn: identities.policy_history(conn, user_id, policy_name))
        return [PolicyState(*state) for state in states]


def _named(conn: Connection, account: AccountId, name: str) -> Row[Any]:
    row = identities.user_named(conn, account, name)
    if row is None:
        raise faults.no_user(name)
    return row


def _no_policy(policy_name: str) -> QueryError:
    return faults.no_such(f"The user policy with name {policy_name} cannot be found.")


def _record(conn: Connection, user: User, kind: str, at: float, by: str) -> None:
    identities.record(conn, user.account, kind, {"user_id": user.id, "arn": user.arn, "by": by}, at)
    epoch.advance(conn)
