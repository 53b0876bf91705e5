"""Roles of an account: who may assume them (the trust policy), and for how long.

The rules are functions of a connection; the class runs them in transactions. Callers have parsed the trust policies.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.events.identity import RoleCreated, RoleDeleted, RoleTrustPolicySet, RoleUpdated
from moorage.identity import errors
from moorage.identity.accounts import accounts
from moorage.identity.policies import managed_policies
from moorage.identity.principals import lookup
from moorage.identity.principals.directory import Directory
from moorage.identity.principals.entity import ROLE, Entity, Role, role_of, row_of
from moorage.identity.principals.unique_ids import new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.identity import identities
from moorage.store.metadata.policies import documents

TRUST_CHARACTERS: Final = 2048
"""The most characters of a trust policy, without white space (IAM's quota)."""
SESSION_SECONDS: Final = 3600
"""How long a session may last unless the role says otherwise."""

_SERVICE_LINKED_PATH: Final = "/aws-service-role/"
_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
_SPACE: Final = re.compile(r"\s+")


class NewRole(NamedTuple):
    """A role to create."""

    account: AccountId
    name: str
    trust: str
    """The text of the trust policy, in its stored form."""
    path: str = "/"
    max_session_seconds: int = SESSION_SECONDS
    description: str = ""
    tags: Mapping[str, str] = _NO_TAGS
    boundary: str | None = None
    """The ARN of the managed policy that becomes its permissions boundary."""
    service: str | None = None
    """The service of a service-linked role. Only CreateServiceLinkedRole sets it."""


def create(conn: Connection, new: NewRole, *, by: str, at: float) -> Role:
    """Create a role, and its account if need be.

    EntityAlreadyExists, LimitExceeded; InvalidInput for a reserved path; NoSuchEntity for the boundary.
    """
    _check_length(new.trust)
    if new.service is None:
        check_path(new.path)
    lookup.check_new(conn, ROLE, new.account, new.name)
    boundary_id = None if new.boundary is None else managed_policies.attachable(conn, new.account, new.boundary).id
    accounts.ensure(conn, new.account, by=by, at=at)
    entity = Entity(ROLE.name, new_unique_id(ROLE.prefix), new.account, new.name, new.path, at, boundary_id)
    identities.add(conn, row_of(entity))
    digest = documents.keep(conn, new.trust)
    identities.add_role(conn, entity.id, digest, new.max_session_seconds, new.description, new.service)
    identities.set_tags(conn, entity.id, new.tags)
    identities.remember(conn, new.account, entity.id, "trust", "", digest, at, by)
    events.record(conn, RoleCreated(at=at, account=new.account, by=by, role_id=entity.id, arn=entity.arn))
    return lookup.get_role(conn, new.account, new.name)


def update(
    conn: Connection,
    account: AccountId,
    name: str,
    *,
    max_session_seconds: int | None = None,
    description: str | None = None,
    by: str,
    at: float,
) -> Role:
    """Change the session limit, the description or both of a role; return it. NoSuchEntity, UnmodifiableEntity."""
    role = lookup.modifiable_role(conn, account, name)
    seconds = role.max_session_seconds if max_session_seconds is None else max_session_seconds
    identities.describe_role(conn, role.id, seconds, role.description if description is None else description)
    events.record(conn, RoleUpdated(at=at, account=account, by=by, role_id=role.id, arn=role.arn))
    return lookup.get_role(conn, account, name)


def set_trust(conn: Connection, account: AccountId, name: str, trust: str, *, by: str, at: float) -> None:
    """Replace the trust policy of a role. NoSuchEntity, LimitExceeded, UnmodifiableEntity."""
    _check_length(trust)
    role = lookup.modifiable_role(conn, account, name)
    digest = documents.keep(conn, trust)
    identities.set_trust(conn, role.id, digest)
    identities.remember(conn, account, role.id, "trust", "", digest, at, by)
    events.record(conn, RoleTrustPolicySet(at=at, account=account, by=by, role_id=role.id, arn=role.arn))


def delete(
    conn: Connection, account: AccountId, name: str, *, service_linked: bool = False, by: str, at: float
) -> None:
    """Delete a role and its sessions. NoSuchEntity; DeleteConflict while it has policies; UnmodifiableEntity.

    `service_linked`: the role must be service-linked and is deleted with its policies (DeleteServiceLinkedRole).
    """
    if service_linked:
        role = lookup.get_role(conn, account, name)
        if role.service is None:
            raise errors.no_entity(ROLE.name, name)
    else:
        role = lookup.modifiable_role(conn, account, name)
        lookup.check_detached(conn, role.id)
        lookup.check_no_inline_policies(conn, role.id)
    identities.remove(conn, role.id)
    events.record(conn, RoleDeleted(at=at, account=account, by=by, role_id=role.id, arn=role.arn))


class Roles(Directory[Role]):
    """Reads and changes roles. Errors are IAM's."""

    kind = ROLE

    def _named(self, conn: Connection, account: AccountId, name: str) -> Role | None:
        return lookup.find_role(conn, account, name)

    def _with_id(self, conn: Connection, unique_id: str) -> Role | None:
        row = identities.role_with_id(conn, unique_id)
        return None if row is None else role_of(row)

    def _page(self, conn: Connection, account: AccountId, prefix: str, after: str, limit: int) -> list[Role]:
        return list(map(role_of, identities.roles_page(conn, account, prefix, after, limit)))

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
        """Create a role, as `create` does."""
        new = NewRole(account, name, trust, path, max_session_seconds, description, tags, boundary, service)
        at = self._clock.now()
        return await self._db.transaction(lambda conn: create(conn, new, by=by, at=at))

    async def update(
        self,
        account: AccountId,
        name: str,
        by: str,
        *,
        max_session_seconds: int | None = None,
        description: str | None = None,
    ) -> Role:
        """Change a role, as `update` does. None keeps a value."""
        seconds, at = max_session_seconds, self._clock.now()
        return await self._db.transaction(
            lambda conn: update(conn, account, name, max_session_seconds=seconds, description=description, by=by, at=at)
        )

    async def set_trust(self, account: AccountId, name: str, trust: str, by: str) -> None:
        """Replace the trust policy, as `set_trust` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: set_trust(conn, account, name, trust, by=by, at=at))

    async def delete(self, account: AccountId, name: str, by: str, *, service_linked: bool = False) -> None:
        """Delete a role, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(
            lambda conn: delete(conn, account, name, service_linked=service_linked, by=by, at=at)
        )


def check_path(path: str) -> None:
    """Raise InvalidInput if only a service-linked role may have this path.

    The message is IAM's [aws: quoted in public bug reports]. The path grants nothing, but people write conditions on
    it, such as `aws:PrincipalArn` not like `arn:aws:iam::*:role/aws-service-role/*`.
    """
    if path.startswith(_SERVICE_LINKED_PATH):
        raise errors.invalid_input(
            f"Path prefix '{_SERVICE_LINKED_PATH}' can only be used for AWS Service linked Roles"
        )


def _check_length(trust: str) -> None:
    if len(_SPACE.sub("", trust)) > TRUST_CHARACTERS:
        raise errors.limit_exceeded("ACLSizePerRole", TRUST_CHARACTERS)
