"""Users, groups and roles, as the layers above see them."""

from typing import Final, NamedTuple

import msgspec

from moorage.identity.arns import identity_arn
from moorage.names import AccountId
from moorage.store.metadata.identity.access_keys import Use
from moorage.store.metadata.identity.identities import IdentityRow, RoleRow, folded


class Kind(NamedTuple):
    """What differs between users, groups and roles (IAM user guide, quotas)."""

    name: str
    """As in ARNs and rows: `user`, `group`, `role`."""
    title: str
    """As in operations and messages."""
    prefix: str
    """The first letters of unique ids."""
    per_account: int
    inline_characters: int
    """The most characters that all inline policies of one identity may have together, without white space."""
    attached: int = 10
    """The most managed policies that may be attached to one identity."""


USER: Final = Kind("user", "User", "AIDA", 5000, 2048)
GROUP: Final = Kind("group", "Group", "AGPA", 300, 5120)
ROLE: Final = Kind("role", "Role", "AROA", 1000, 10240)
KINDS: Final = {kind.name: kind for kind in (USER, GROUP, ROLE)}


class Entity(msgspec.Struct, frozen=True, gc=False):
    """A user, a group or a role."""

    kind: str
    """`user`, `group`, `role`."""
    id: str
    """The unique id, which is never given to another identity."""
    account: AccountId
    name: str
    path: str
    """Starts and ends with `/`."""
    created_at: float
    boundary_id: str | None = None
    """The unique id of the managed policy that is its permissions boundary."""

    @property
    def arn(self) -> str:
        return identity_arn(self.kind, self.account, self.path, self.name)


class Role(Entity, frozen=True, gc=False, kw_only=True):
    """A role, with what only roles have."""

    trust: str
    """The text of the trust policy, as it was given."""
    trust_hash: str
    max_session_seconds: int
    description: str
    service: str | None
    """The service of a service-linked role; None for any other role, whatever its path."""
    used: Use | None
    """The last use of a session of the role; None: never used."""


def entity_of(row: IdentityRow | RoleRow) -> Entity:
    """Return the identity of a row."""
    return Entity(row.kind, row.id, AccountId(row.account), row.name, row.path, row.created_at, row.boundary_id)


def row_of(entity: Entity) -> IdentityRow:
    """Return the row of an identity."""
    name, folded_name = entity.name, folded(entity.name)
    return IdentityRow(
        entity.id, entity.account, entity.kind, name, folded_name, entity.path, entity.created_at, entity.boundary_id
    )


def role_of(row: RoleRow) -> Role:
    """Return the role of a row."""
    used = None
    if row.used_at is not None:
        used = Use(row.used_at, row.used_service or "", row.used_region or "")
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
        used=used,
    )
