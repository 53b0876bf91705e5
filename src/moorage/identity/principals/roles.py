"""Roles of an account: who may take them on (the trust policy), and for how long."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.policies import managed_policies
from moorage.identity.principals.directory import Directory
from moorage.identity.principals.entity import ROLE, Role, role_of
from moorage.identity.principals.lookup import named, record
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import accounts, identities, identity_policies
from moorage.store.metadata.policies import repository_policies as documents

TRUST_CHARACTERS: Final = 2048
"""A trust policy's, white space not counted (IAM's quota)."""
SESSION_SECONDS: Final = 3600
"""How long a session may last unless the role says otherwise."""

_SERVICE_LINKED_PATH: Final = "/aws-service-role/"
_NO_TAGS: Mapping[str, str] = {}
_SPACE: Final = re.compile(r"\s+")


class Roles(Directory[Role]):
    """Everything about roles; errors are IAM's. What a trust policy says is not known here: callers have parsed it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock, ROLE, role_of)

    async def create(
        self,
        account: AccountId,
        path: str,
        name: str,
        trust: str,
        by: str,
        *,
        max_session_seconds: int = SESSION_SECONDS,
        description: str = "",
        tags: Mapping[str, str] = _NO_TAGS,
        boundary: str | None = None,
        service: str | None = None,
    ) -> Role:
        """Create a role. `boundary`: the ARN of a managed policy.

        `service`: the service of a service-linked role. Only CreateServiceLinkedRole passes it, and nothing else makes
        a role service-linked. Raises EntityAlreadyExists, LimitExceeded, InvalidInput for a reserved path, and
        NoSuchEntity for the boundary.
        """
        at, role_id = self._clock.now(), new_unique_id(ROLE.prefix)
        _check_length(trust)
        if service is None:
            check_path(path)

        def work(conn: Connection) -> Role:
            if identities.named(conn, ROLE.name, account, name) is not None:
                raise errors.already_exists(f"Role with name {name} already exists.")
            if identities.count(conn, ROLE.name, account) >= ROLE.per_account:
                raise errors.limit_exceeded("RolesPerAccount", ROLE.per_account)
            boundary_id = None if boundary is None else managed_policies.boundary(conn, account, boundary)
            accounts.ensure(conn, account, "", at)
            identities.add(conn, ROLE.name, role_id, account, name, path, boundary_id, at)
            digest = documents.keep(conn, trust)
            identities.add_role(conn, role_id, digest, max_session_seconds, description, service)
            identities.set_tags(conn, role_id, tags)
            identities.remember(conn, account, role_id, "trust", "", digest, at, by)
            role = role_of(named(conn, ROLE, account, name))
            _record(conn, role, "RoleCreated", at, by)
            return role

        return await self._db.transaction(work)

    async def update(
        self,
        account: AccountId,
        name: str,
        by: str,
        *,
        max_session_seconds: int | None = None,
        description: str | None = None,
    ) -> Role:
        """The role as it is now; what is None stays as it was. NoSuchEntity, UnmodifiableEntity."""
        at = self._clock.now()

        def work(conn: Connection) -> Role:
            row = modifiable(conn, account, name)
            wanted = {"max_session_seconds": max_session_seconds, "description": description}
            changes = {key: value for key, value in wanted.items() if value is not None}
            if changes:
                identities.change_role(conn, row.id, **changes)
            role = role_of(named(conn, ROLE, account, name))
            _record(conn, role, "RoleUpdated", at, by)
            return role

        return await self._db.transaction(work)

    async def set_trust(self, account: AccountId, name: str, trust: str, by: str) -> None:
        """From now on this says who may take the role on. NoSuchEntity, LimitExceeded, UnmodifiableEntity."""
        at = self._clock.now()
        _check_length(trust)

        def work(conn: Connection) -> None:
            row = modifiable(conn, account, name)
            digest = documents.keep(conn, trust)
            identities.change_role(conn, row.id, trust_hash=digest)
            identities.remember(conn, account, row.id, "trust", "", digest, at, by)
            _record(conn, role_of(row), "RoleTrustSet", at, by)

        await self._db.transaction(work)

    async def delete(self, account: AccountId, name: str, by: str, *, service_linked: bool = False) -> None:
        """End a role and its sessions. NoSuchEntity; DeleteConflict while it has policies; UnmodifiableEntity.

        `service_linked`: it is, and goes with its policies (DeleteServiceLinkedRole).
        """
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = named(conn, ROLE, account, name) if service_linked else modifiable(conn, account, name)
            if service_linked and row.service is None:
                raise errors.no_entity(ROLE.name, name)
            if not service_linked:
                if identity_policies.attached(conn, row.id):
                    raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
                if identity_policies.has_inline(conn, row.id):
                    raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
            identities.remove(conn, row.id)
            _record(conn, role_of(row), "RoleDeleted", at, by)

        await self._db.transaction(work)


def check_path(path: str) -> None:
    """Raise InvalidInput if only a service-linked role may have this path.

    The sentence is IAM's [aws: quoted in public bug reports]. The path grants nothing, but people write conditions on
    it, such as `aws:PrincipalArn` not like `arn:aws:iam::*:role/aws-service-role/*`.
    """
    if path.startswith(_SERVICE_LINKED_PATH):
        raise errors.invalid_input(
            f"Path prefix '{_SERVICE_LINKED_PATH}' can only be used for AWS Service linked Roles"
        )


def modifiable(conn: Connection, account: AccountId, name: str) -> Any:
    """The role, if its account may change it: a service-linked one is its service's."""
    row = named(conn, ROLE, account, name)
    if row.service is not None:
        raise errors.unmodifiable(
            f"Cannot perform the operation on the protected role '{row.name}' - this role is only modifiable by AWS"
        )
    return row


def _check_length(trust: str) -> None:
    if len(_SPACE.sub("", trust)) > TRUST_CHARACTERS:
        raise errors.limit_exceeded("ACLSizePerRole", TRUST_CHARACTERS)


def _record(conn: Connection, role: Role, event: str, at: float, by: str) -> None:
    record(conn, role.account, event, at, by, role_id=role.id, arn=role.arn)
