"""Users, groups and roles as everyone above sees them."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row

from moorage.identity.arns import identity_arn
from moorage.names import AccountId
from moorage.store.metadata.identity.access_keys import Use


class Kind(NamedTuple):
    """What differs between users, groups and roles (IAM user guide, quotas)."""

    name: str
    """As in ARNs and rows."""
    title: str
    """As in operations and messages."""
    prefix: str
    """Of unique ids."""
    per_account: int
    inline_characters: int
    """All inline policies of one together, white space not counted."""
    attached: int = 10
    """Managed policies attached to one."""


USER: Final = Kind("user", "User", "AIDA", 5000, 2048)
GROUP: Final = Kind("group", "Group", "AGPA", 300, 5120)
ROLE: Final = Kind("role", "Role", "AROA", 1000, 10240)
KINDS: Final = {kind.name: kind for kind in (USER, GROUP, ROLE)}


class Entity(msgspec.Struct, frozen=True, gc=False):
    """A user, a group or a role."""

    kind: str
    """`user`, `group`, `role`."""
    id: str
    """Never given to another."""
    account: AccountId
    name: str
    path: str
    """Starts and ends with `/`."""
    created_at: float
    boundary_id: str | None = None
    """The managed policy that is its permissions boundary."""

    @property
    def arn(self) -> str:
        return identity_arn(self.kind, self.account, self.path, self.name)


class Role(Entity, frozen=True, gc=False, kw_only=True):
    """A role, with what only roles have."""

    trust: str
    """The trust policy's text, as it was given."""
    trust_hash: str
    max_session_seconds: int
    description: str
    service: str | None
    """The service of a service-linked role; None for any other role, whatever its path."""
    used: Use | None
    """When a session of it was used last."""


def entity_of(row: Row[Any]) -> Entity:
    """From a row of `identities`."""
    return Entity(row.kind, row.id, AccountId(row.account), row.name, row.path, row.created_at, row.boundary_id)


def role_of(row: Row[Any]) -> Role:
    """From a row of `identities.named` and its kin of kind `role`."""
    return Role(
        row.kind,
        row.id,
        AccountId(row.account),
        row.name,
        row.path,
        row.created_at,
        row.boundary_id,
        trust=row.trust,
        trust_hash=row.trust_hash,
        max_session_seconds=row.max_session_seconds,
        description=row.description,
        service=row.service,
        used=None if row.used_at is None else Use(row.used_at, row.used_service, row.used_region),
    )
