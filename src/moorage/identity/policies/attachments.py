"""Which managed policies are attached to users, groups and roles, and which bound users and roles."""

from collections.abc import Sequence

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.policies import aws_managed, managed_policies
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals.entity import ROLE, Entity, Kind, entity_of
from moorage.identity.principals.lookup import named, record
from moorage.identity.principals.roles import modifiable
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies
from moorage.store.metadata.policies import repository_policies as documents


class Attachments:
    """Attaches and detaches; errors are IAM's. An owner is a kind, an account and a name."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def attach(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """From now on the policy applies. NoSuchEntity, LimitExceeded; nothing changes when it did already."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = modifiable(conn, account, name) if kind is ROLE else named(conn, kind, account, name)
            policy = _attachable(conn, account, arn)
            if not identity_policies.attach(conn, row.id, policy.id):
                return
            if len(identity_policies.attached(conn, row.id)) > kind.attached:
                raise errors.limit_exceeded(f"PoliciesPer{kind.title}", kind.attached)
            identities.remember(conn, account, row.id, "attached", policy.name, policy.id, at, by)
            record(conn, account, f"{kind.title}PolicyAttached", at, by, identity_id=row.id, arn=policy.arn)

        await self._db.transaction(work)

    async def detach(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """NoSuchEntity when it is not attached."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = modifiable(conn, account, name) if kind is ROLE else named(conn, kind, account, name)
            policy = managed_policies.find(conn, account, arn)
            if policy is None or not identity_policies.detach(conn, row.id, policy.id):
                raise errors.no_managed_policy(arn)
            identities.remember(conn, account, row.id, "attached", policy.name, None, at, by)
            record(conn, account, f"{kind.title}PolicyDetached", at, by, identity_id=row.id, arn=policy.arn)

        await self._db.transaction(work)

    async def of(self, kind: Kind, account: AccountId, name: str) -> list[ManagedPolicy]:
        """What is attached to a user, group or role, by name. NoSuchEntity."""

        def work(conn: Connection) -> list[ManagedPolicy]:
            attached = identity_policies.attached(conn, named(conn, kind, account, name).id)
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
        """The next identities of these kinds that have the policy `attached`, or (`bounded`) as their boundary.

        They are ordered by kind and name and come after `after`, which is `position_of` an earlier one. NoSuchEntity.
        """
        kind, _, name = after.partition("/")

        def work(conn: Connection) -> list[Entity]:
            policy = managed_policies.find(conn, account, arn)
            if policy is None:
                raise errors.no_managed_policy(arn)
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
            return [entity_of(row) for row in rows]

        return await self._db.read(work)

    async def set_boundary(self, kind: Kind, account: AccountId, name: str, arn: str, by: str) -> None:
        """The most that the user or role may do from now on. NoSuchEntity."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = modifiable(conn, account, name) if kind is ROLE else named(conn, kind, account, name)
            policy = _attachable(conn, account, arn)
            identities.change(conn, row.id, boundary_id=policy.id)
            identities.remember(conn, account, row.id, "boundary", "", policy.id, at, by)
            record(conn, account, f"{kind.title}BoundarySet", at, by, identity_id=row.id, arn=policy.arn)

        await self._db.transaction(work)

    async def remove_boundary(self, kind: Kind, account: AccountId, name: str, by: str) -> None:
        """NoSuchEntity when it has none."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = modifiable(conn, account, name) if kind is ROLE else named(conn, kind, account, name)
            if row.boundary_id is None:
                raise errors.no_such(f"{kind.title} {row.name} has no permissions boundary.")
            identities.change(conn, row.id, boundary_id=None)
            identities.remember(conn, account, row.id, "boundary", "", None, at, by)
            record(conn, account, f"{kind.title}BoundaryRemoved", at, by, identity_id=row.id)

        await self._db.transaction(work)


def position_of(entity: Entity) -> str:
    """Where pages of `Attachments.entities` that come behind this one begin."""
    return f"{entity.kind}/{identities.folded(entity.name)}"


def _attachable(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy:
    policy = managed_policies.find(conn, account, arn)
    if policy is None:
        raise errors.not_attachable(arn)
    if policy.is_aws:
        # So that a decision's record can be read from the database alone.
        documents.keep(conn, aws_managed.BY_ID[policy.id].default.text)
    return policy
