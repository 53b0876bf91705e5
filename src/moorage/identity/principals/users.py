"""Users of an account: the rules, as functions of a connection, and the class that runs them in transactions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.events.identity import UserCreated, UserDeleted, UserUpdated
from moorage.identity import errors
from moorage.identity.accounts import accounts
from moorage.identity.policies import managed_policies
from moorage.identity.principals import lookup
from moorage.identity.principals.directory import EntityDirectory
from moorage.identity.principals.entity import USER, Entity, row_of
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.identity import access_keys, identities

_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class NewUser(NamedTuple):
    """A user to create."""

    account: AccountId
    name: str
    path: str = "/"
    tags: Mapping[str, str] = _NO_TAGS
    boundary: str | None = None
    """The ARN of the managed policy that becomes its permissions boundary."""


def create(conn: Connection, new: NewUser, *, by: str, at: float) -> Entity:
    """Create a user, and its account if need be.

    EntityAlreadyExists, LimitExceeded; NoSuchEntity for the boundary.
    """
    lookup.check_new(conn, USER, new.account, new.name)
    boundary_id = None if new.boundary is None else managed_policies.attachable(conn, new.account, new.boundary).id
    accounts.ensure(conn, new.account, by=by, at=at)
    user = Entity(USER.name, new_unique_id(USER.prefix), new.account, new.name, new.path, at, boundary_id)
    identities.add(conn, row_of(user))
    identities.set_tags(conn, user.id, new.tags)
    events.record(conn, UserCreated(at=at, account=user.account, by=by, user_id=user.id, arn=user.arn))
    return user


def update(
    conn: Connection,
    account: AccountId,
    name: str,
    *,
    new_name: str | None = None,
    new_path: str | None = None,
    by: str,
    at: float,
) -> None:
    """Give a user another name, another path, or both. Its ARN changes, its id does not.

    NoSuchEntity, EntityAlreadyExists.
    """
    user = lookup.rename(conn, USER, account, name, new_name, new_path)
    events.record(conn, UserUpdated(at=at, account=account, by=by, user_id=user.id, arn=user.arn))


def delete(conn: Connection, account: AccountId, name: str, *, by: str, at: float) -> None:
    """Delete a user and its sessions.

    NoSuchEntity; DeleteConflict while it has keys, policies or groups [recall: IAM's messages].
    """
    user = lookup.get(conn, USER, account, name)
    lookup.check_detached(conn, user.id)
    if access_keys.of_owner(conn, account, user.id):
        raise errors.delete_conflict("Cannot delete entity, must delete access keys first.")
    lookup.check_no_inline_policies(conn, user.id)
    if identities.groups_of(conn, user.id):
        raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
    identities.remove(conn, user.id)
    events.record(conn, UserDeleted(at=at, account=account, by=by, user_id=user.id, arn=user.arn))


class Users(EntityDirectory):
    """Reads and changes users. Errors are IAM's (`QueryError` with NoSuchEntity, EntityAlreadyExists, …)."""

    kind = USER

    async def create(
        self,
        account: AccountId,
        path: str,
        name: str,
        by: str,
        *,
        tags: Mapping[str, str] = _NO_TAGS,
        boundary: str | None = None,
    ) -> Entity:
        """Create a user, as `create` does."""
        new, at = NewUser(account, name, path, tags, boundary), self._clock.now()
        return await self._db.transaction(lambda conn: create(conn, new, by=by, at=at))

    async def update(
        self, account: AccountId, name: str, by: str, *, new_name: str | None = None, new_path: str | None = None
    ) -> None:
        """Rename a user, as `update` does."""
        at = self._clock.now()
        await self._db.transaction(
            lambda conn: update(conn, account, name, new_name=new_name, new_path=new_path, by=by, at=at)
        )

    async def delete(self, account: AccountId, name: str, by: str) -> None:
        """Delete a user, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete(conn, account, name, by=by, at=at))
