"""Users of an account."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.policies import managed_policies
from moorage.identity.principals.directory import Directory
from moorage.identity.principals.entity import USER, Entity, entity_of
from moorage.identity.principals.lookup import named, record, renamed
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, accounts, identities, identity_policies

_NO_TAGS: Mapping[str, str] = {}


class Users(Directory[Entity]):
    """Everything about users; errors are IAM's (`QueryError` with NoSuchEntity, EntityAlreadyExists, …)."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock, USER, entity_of)

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
        """A new user; its account is made when it is not there. `boundary`: a managed policy's ARN.

        EntityAlreadyExists, LimitExceeded; NoSuchEntity for the boundary.
        """
        at, user_id = self._clock.now(), new_unique_id(USER.prefix)

        def work(conn: Connection) -> Entity:
            if identities.named(conn, USER.name, account, name) is not None:
                raise errors.already_exists(f"User with name {name} already exists.")
            if identities.count(conn, USER.name, account) >= USER.per_account:
                raise errors.limit_exceeded("UsersPerAccount", USER.per_account)
            boundary_id = None if boundary is None else managed_policies.boundary(conn, account, boundary)
            accounts.ensure(conn, account, "", at)
            identities.add(conn, USER.name, user_id, account, name, path, boundary_id, at)
            identities.set_tags(conn, user_id, tags)
            user = Entity(USER.name, user_id, account, name, path, at, boundary_id)
            _record(conn, user, "UserCreated", at, by)
            return user

        return await self._db.transaction(work)

    async def update(
        self, account: AccountId, name: str, by: str, *, new_name: str | None = None, new_path: str | None = None
    ) -> None:
        """Another name, another path, or both: the same user, its ARN changes. NoSuchEntity, EntityAlreadyExists."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            _record(conn, renamed(conn, USER, account, name, new_name, new_path), "UserUpdated", at, by)

        await self._db.transaction(work)

    async def delete(self, account: AccountId, name: str, by: str) -> None:
        """End a user and its sessions. NoSuchEntity; DeleteConflict while it has keys, policies or groups."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = named(conn, USER, account, name)
            _refuse_to_delete(conn, row)
            identities.remove(conn, row.id)
            _record(conn, entity_of(row), "UserDeleted", at, by)

        await self._db.transaction(work)


def _refuse_to_delete(conn: Connection, row: Row[Any]) -> None:
    """IAM deletes only what has nothing left [recall: the sentences]."""
    if identity_policies.attached(conn, row.id):
        raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
    if access_keys.of_owner(conn, row.account, row.id):
        raise errors.delete_conflict("Cannot delete entity, must delete access keys first.")
    if identity_policies.has_inline(conn, row.id):
        raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
    if identities.groups_of(conn, row.id):
        raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")


def _record(conn: Connection, user: Entity, event: str, at: float, by: str) -> None:
    record(conn, user.account, event, at, by, user_id=user.id, arn=user.arn)
