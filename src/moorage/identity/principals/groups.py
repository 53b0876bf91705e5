"""Groups of users, and who is in them."""

from typing import Final

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.principals.directory import Directory
from moorage.identity.principals.entity import GROUP, USER, Entity, entity_of
from moorage.identity.principals.lookup import named, record, renamed
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import accounts, identities, identity_policies

GROUPS_PER_USER: Final = 10


class Groups(Directory[Entity]):
    """Everything about groups; errors are IAM's."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock, GROUP, entity_of)

    async def create(self, account: AccountId, path: str, name: str, by: str) -> Entity:
        """A new group without members. EntityAlreadyExists, LimitExceeded."""
        group = Entity(GROUP.name, new_unique_id(GROUP.prefix), account, name, path, self._clock.now())

        def work(conn: Connection) -> None:
            if identities.named(conn, GROUP.name, account, name) is not None:
                raise errors.already_exists(f"Group with name {name} already exists.")
            if identities.count(conn, GROUP.name, account) >= GROUP.per_account:
                raise errors.limit_exceeded("GroupsPerAccount", GROUP.per_account)
            accounts.ensure(conn, account, "", group.created_at)
            identities.add(conn, GROUP.name, group.id, account, name, path, None, group.created_at)
            _record(conn, group, "GroupCreated", group.created_at, by)

        await self._db.transaction(work)
        return group

    async def members(
        self, account: AccountId, name: str, *, after: str = "", limit: int
    ) -> tuple[Entity, list[Entity]]:
        """The group and the users in it, by name from `after` on. NoSuchEntity."""

        def work(conn: Connection) -> tuple[Entity, list[Entity]]:
            row = named(conn, GROUP, account, name)
            users = identities.members(conn, row.id, identities.folded(after), limit)
            return entity_of(row), [entity_of(user) for user in users]

        return await self._db.read(work)

    async def of_user(self, account: AccountId, user_name: str) -> list[Entity]:
        """The groups a user is in, by name. NoSuchEntity."""

        def work(conn: Connection) -> list[Entity]:
            row = named(conn, USER, account, user_name)
            return [entity_of(group) for group in identities.groups_of(conn, row.id)]

        return await self._db.read(work)

    async def update(
        self, account: AccountId, name: str, by: str, *, new_name: str | None = None, new_path: str | None = None
    ) -> None:
        """Another name, another path, or both. NoSuchEntity, EntityAlreadyExists."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            _record(conn, renamed(conn, GROUP, account, name, new_name, new_path), "GroupUpdated", at, by)

        await self._db.transaction(work)

    async def delete(self, account: AccountId, name: str, by: str) -> None:
        """NoSuchEntity; DeleteConflict while it has members or policies."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = named(conn, GROUP, account, name)
            if identities.members(conn, row.id, limit=1):
                raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
            if identity_policies.attached(conn, row.id):
                raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
            if identity_policies.has_inline(conn, row.id):
                raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
            identities.remove(conn, row.id)
            _record(conn, entity_of(row), "GroupDeleted", at, by)

        await self._db.transaction(work)

    async def add_user(self, account: AccountId, name: str, user_name: str, by: str) -> None:
        """From now on the user has the group's policies too. NoSuchEntity, LimitExceeded."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            group, user = named(conn, GROUP, account, name), named(conn, USER, account, user_name)
            if identities.join(conn, user.id, group.id, at):
                if len(identities.groups_of(conn, user.id)) > GROUPS_PER_USER:
                    raise errors.limit_exceeded("GroupsPerUser", GROUPS_PER_USER)
                identities.remember(conn, account, user.id, "member", group.name, group.id, at, by)
                record(conn, account, "UserAddedToGroup", at, by, group_id=group.id, user_id=user.id)

        await self._db.transaction(work)

    async def remove_user(self, account: AccountId, name: str, user_name: str, by: str) -> None:
        """NoSuchEntity when either is not there; a user that is not in the group stays out of it [guess]."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            group, user = named(conn, GROUP, account, name), named(conn, USER, account, user_name)
            if identities.leave(conn, user.id, group.id):
                identities.remember(conn, account, user.id, "member", group.name, None, at, by)
                record(conn, account, "UserRemovedFromGroup", at, by, group_id=group.id, user_id=user.id)

        await self._db.transaction(work)


def _record(conn: Connection, group: Entity, event: str, at: float, by: str) -> None:
    record(conn, group.account, event, at, by, group_id=group.id, arn=group.arn)
