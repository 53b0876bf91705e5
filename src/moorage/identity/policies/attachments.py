"""Attachments of managed policies to users, groups and roles, and permissions boundaries of users and roles.

The rules are functions of a connection; the class runs them in transactions.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.events.identity import BoundaryDeleted, BoundarySet, PolicyAttached, PolicyDetached
from moorage.identity import errors
from moorage.identity.policies import managed_policies
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import Entity, Kind, entity_of
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies


def attach(conn: Connection, kind: Kind, account: AccountId, name: str, arn: str, *, by: str, at: float) -> None:
    """Attach a managed policy. No error if it is attached already. NoSuchEntity, LimitExceeded, UnmodifiableEntity."""
    owner = lookup.modifiable(conn, kind, account, name)
    policy = managed_policies.attachable(conn, account, arn)
    if not identity_policies.attach(conn, owner.id, policy.id):
        return
    if len(identity_policies.attached(conn, owner.id)) > kind.attached:
        raise errors.limit_exceeded(f"PoliciesPer{kind.title}", kind.attached)
    identities.remember(conn, account, owner.id, "attached", policy.name, policy.id, at, by)
    events.record(conn, PolicyAttached(at=at, account=account, by=by, identity_id=owner.id, policy_arn=policy.arn))


def detach(conn: Connection, kind: Kind, account: AccountId, name: str, arn: str, *, by: str, at: float) -> None:
    """Detach a managed policy. NoSuchEntity if it is not attached; UnmodifiableEntity."""
    owner = lookup.modifiable(conn, kind, account, name)
    policy = managed_policies.find(conn, account, arn)
    if policy is None or not identity_policies.detach(conn, owner.id, policy.id):
        raise errors.no_managed_policy(arn)
    identities.remember(conn, account, owner.id, "attached", policy.name, None, at, by)
    events.record(conn, PolicyDetached(at=at, account=account, by=by, identity_id=owner.id, policy_arn=policy.arn))


def set_boundary(conn: Connection, kind: Kind, account: AccountId, name: str, arn: str, *, by: str, at: float) -> None:
    """Make a managed policy the permissions boundary of a user or role. NoSuchEntity, UnmodifiableEntity."""
    owner = lookup.modifiable(conn, kind, account, name)
    policy = managed_policies.attachable(conn, account, arn)
    identities.set_boundary(conn, owner.id, policy.id)
    identities.remember(conn, account, owner.id, "boundary", "", policy.id, at, by)
    events.record(conn, BoundarySet(at=at, account=account, by=by, identity_id=owner.id, policy_arn=policy.arn))


def remove_boundary(conn: Connection, kind: Kind, account: AccountId, name: str, *, by: str, at: float) -> None:
    """Remove the permissions boundary of a user or role. NoSuchEntity if it has none; UnmodifiableEntity."""
    owner = lookup.modifiable(conn, kind, account, name)
    if owner.boundary_id is None:
        raise errors.no_such(f"{kind.title} {owner.name} has no permissions boundary.")
    identities.set_boundary(conn, owner.id, None)
    identities.remember(conn, account, owner.id, "boundary", "", None, at, by)
    events.record(conn, BoundaryDeleted(at=at, account=account, by=by, identity_id=owner.id))


def users_of(
    conn: Connection,
    account: AccountId,
    arn: str,
    kinds: Sequence[str],
    *,
    path_prefix: str = "/",
    attached: bool,
    bounded: bool,
    after: str = "",
    limit: int,
) -> list[Entity]:
    """Return up to `limit` identities that have the policy `attached`, or (`bounded`) as their permissions boundary.

    They are of these kinds, ordered by kind and name, and come after `after`, the `position_of` an earlier one.
    NoSuchEntity.
    """
    policy = managed_policies.get(conn, account, arn)
    kind, _, name = after.partition("/")
    rows = identity_policies.entities_of(
        conn,
        account,
        policy.id,
        kinds,
        path_prefix,
        attached=attached,
        bounded=bounded,
        after=(kind, name),
        limit=limit,
    )
    return list(map(entity_of, rows))


class Attachments:
    """Attaches and detaches policies. Errors are IAM's. An owner is given as a kind, an account and a name."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def attach(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """Attach a policy, as `attach` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: attach(conn, kind, account, name, arn, by=by, at=at))

    async def detach(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """Detach a policy, as `detach` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: detach(conn, kind, account, name, arn, by=by, at=at))

    async def of(self, kind: Kind, account: AccountId, name: str) -> list[ManagedPolicy]:
        """Return the policies that are attached to a user, group or role, by name. NoSuchEntity."""

        def work(conn: Connection) -> list[ManagedPolicy]:
            attached = identity_policies.attached(conn, lookup.get(conn, kind, account, name).id)
            found = managed_policies.by_ids(conn, attached).values()
            return sorted(found, key=lambda policy: (identities.folded(policy.name), policy.arn))

        return await self._db.read(work)

    async def entities(
        self,
        account: AccountId,
        arn: str,
        kinds: Sequence[str],
        *,
        path_prefix: str = "/",
        attached: bool,
        bounded: bool,
        after: str = "",
        limit: int,
    ) -> list[Entity]:
        """Return the identities that use a policy, as `users_of` does."""
        return await self._db.read(
            lambda conn: users_of(
                conn,
                account,
                arn,
                kinds,
                path_prefix=path_prefix,
                attached=attached,
                bounded=bounded,
                after=after,
                limit=limit,
            )
        )

    async def set_boundary(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """Set a permissions boundary, as `set_boundary` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: set_boundary(conn, kind, account, name, arn, by=by, at=at))

    async def remove_boundary(self, kind: Kind, account: AccountId, name: str, by: str) -> None:
        """Remove a permissions boundary, as `remove_boundary` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: remove_boundary(conn, kind, account, name, by=by, at=at))


def position_of(entity: Entity) -> str:
    """Return the position of an identity in the pages of `users_of`."""
    return f"{entity.kind}/{identities.folded(entity.name)}"
