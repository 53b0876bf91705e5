"""Groups of users and their members: the rules, and the class that runs them in transactions."""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.events.identity import GroupCreated, GroupDeleted, GroupUpdated, UserAddedToGroup, UserRemovedFromGroup
from moorage.identity import errors
from moorage.identity.accounts import accounts
from moorage.identity.principals import lookup
from moorage.identity.principals.directory import EntityDirectory
from moorage.identity.principals.entity import GROUP, USER, Entity, entity_of, row_of
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.identity import identities

GROUPS_PER_USER: Final = 10


class NewGroup(NamedTuple):
    """A group to create."""

    account: AccountId
    name: str
    path: str = "/"


def create(conn: Connection, new: NewGroup, *, by: str, at: float) -> Entity:
    """Create a group without members, and its account if need be. EntityAlreadyExists, LimitExceeded."""
    lookup.check_new(conn, GROUP, new.account, new.name)
    accounts.ensure(conn, new.account, by=by, at=at)
    group = Entity(GROUP.name, new_unique_id(GROUP.prefix), new.account, new.name, new.path, at)
    identities.add(conn, row_of(group))
    events.record(conn, GroupCreated(at=at, account=group.account, by=by, group_id=group.id, arn=group.arn))
    return group


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
    """Give a group another name, another path, or both. NoSuchEntity, EntityAlreadyExists."""
    group = lookup.rename(conn, GROUP, account, name, new_name, new_path)
    events.record(conn, GroupUpdated(at=at, account=account, by=by, group_id=group.id, arn=group.arn))


def delete(conn: Connection, account: AccountId, name: str, *, by: str, at: float) -> None:
    """Delete a group. NoSuchEntity; DeleteConflict while it has members or policies."""
    group = lookup.get(conn, GROUP, account, name)
    if identities.members(conn, group.id, limit=1):
        raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
    lookup.check_detached(conn, group.id)
    lookup.check_no_inline_policies(conn, group.id)
    identities.remove(conn, group.id)
    events.record(conn, GroupDeleted(at=at, account=account, by=by, group_id=group.id, arn=group.arn))


def add_user(conn: Connection, account: AccountId, name: str, user_name: str, *, by: str, at: float) -> None:
    """Add a user to a group, whose policies apply to the user from now on. NoSuchEntity, LimitExceeded."""
    group, user = lookup.get(conn, GROUP, account, name), lookup.get(conn, USER, account, user_name)
    if not identities.add_member(conn, user.id, group.id, at):
        return
    if len(identities.groups_of(conn, user.id)) > GROUPS_PER_USER:
        raise errors.limit_exceeded("GroupsPerUser", GROUPS_PER_USER)
    identities.remember(conn, account, user.id, "member", group.name, group.id, at, by)
    events.record(conn, UserAddedToGroup(at=at, account=account, by=by, group_id=group.id, user_id=user.id))


def remove_user(conn: Connection, account: AccountId, name: str, user_name: str, *, by: str, at: float) -> None:
    """Remove a user from a group; one who is no member is no error [guess]. NoSuchEntity if either does not exist."""
    group, user = lookup.get(conn, GROUP, account, name), lookup.get(conn, USER, account, user_name)
    if identities.remove_member(conn, user.id, group.id):
        identities.remember(conn, account, user.id, "member", group.name, None, at, by)
        events.record(conn, UserRemovedFromGroup(at=at, account=account, by=by, group_id=group.id, user_id=user.id))


class Groups(EntityDirectory):
    """Reads and changes groups. Errors are IAM's."""

    kind = GROUP

    async def create(self, account: AccountId, path: str, name: str, by: str) -> Entity:
        """Create a group, as `create` does."""
        new, at = NewGroup(account, name, path), self._clock.now()
        return await self._db.transaction(lambda conn: create(conn, new, by=by, at=at))

    async def members(
        self, account: AccountId, name: str, *, after: str = "", limit: int
    ) -> tuple[Entity, list[Entity]]:
        """Return the group and up to `limit` of its users, by name, after the name `after`. NoSuchEntity."""

        def work(conn: Connection) -> tuple[Entity, list[Entity]]:
            group = lookup.get(conn, GROUP, account, name)
            users = identities.members(conn, group.id, identities.folded(after), limit)
            return group, list(map(entity_of, users))

        return await self._db.read(work)

    async def of_user(self, account: AccountId, user_name: str) -> list[Entity]:
        """Return the groups that a user is in, by name. NoSuchEntity."""

        def work(conn: Connection) -> list[Entity]:
            user = lookup.get(conn, USER, account, user_name)
            return list(map(entity_of, identities.groups_of(conn, user.id)))

        return await self._db.read(work)

    async def update(
        self, account: AccountId, name: str, by: str, *, new_name: str | None = None, new_path: str | None = None
    ) -> None:
        """Rename a group, as `update` does."""
        at = self._clock.now()
        await self._db.transaction(
            lambda conn: update(conn, account, name, new_name=new_name, new_path=new_path, by=by, at=at)
        )

    async def delete(self, account: AccountId, name: str, by: str) -> None:
        """Delete a group, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete(conn, account, name, by=by, at=at))

    async def add_user(self, account: AccountId, name: str, user_name: str, by: str) -> None:
        """Add a user, as `add_user` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: add_user(conn, account, name, user_name, by=by, at=at))

    async def remove_user(self, account: AccountId, name: str, user_name: str, by: str) -> None:
        """Remove a user, as `remove_user` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: remove_user(conn, account, name, user_name, by=by, at=at))
