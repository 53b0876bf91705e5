"""Identities by name, unique id or ARN, on a connection. Names are compared without case [recall]; ARNs with it."""

from sqlalchemy import Connection

from moorage.errors import QueryError
from moorage.identity import arns, errors
from moorage.identity.principals.entity import KINDS, ROLE, Entity, Kind, Role, entity_of, role_of
from moorage.names import AccountId
from moorage.store.metadata.identity import identities, identity_policies


def find(conn: Connection, kind: Kind, account: AccountId, name: str) -> Entity | None:
    """Return the user, group or role with that name, or None. Of a role only what every identity has."""
    row = identities.named(conn, kind.name, account, name)
    return None if row is None else entity_of(row)


def get(conn: Connection, kind: Kind, account: AccountId, name: str) -> Entity:
    """Return the user, group or role with that name, as `find` does. Raises NoSuchEntity."""
    found = find(conn, kind, account, name)
    if found is None:
        raise errors.no_entity(kind.name, name)
    return found


def find_role(conn: Connection, account: AccountId, name: str) -> Role | None:
    """Return the role with that name, or None."""
    row = identities.role_named(conn, account, name)
    return None if row is None else role_of(row)


def get_role(conn: Connection, account: AccountId, name: str) -> Role:
    """Return the role with that name. Raises NoSuchEntity."""
    found = find_role(conn, account, name)
    if found is None:
        raise errors.no_entity(ROLE.name, name)
    return found


def with_id(conn: Connection, kind: Kind, unique_id: str) -> Entity | None:
    """Return the user, group or role with that unique id, or None."""
    row = identities.with_id(conn, kind.name, unique_id)
    return None if row is None else entity_of(row)


def with_arn(conn: Connection, arn: str) -> Entity | None:
    """Return the user, group or role with exactly this ARN, path and case included, or None."""
    named = arns.parse_identity(arn)
    if named is None:
        return None
    found = find(conn, KINDS[named.kind], named.account, named.name)
    return found if found is not None and found.arn == arn else None


def has_any(conn: Connection, kind: Kind, account: AccountId) -> bool:
    """Return whether the account has any users, groups or roles here. If so, policies may name only existing ones."""
    return identities.count(conn, kind.name, account) > 0


def modifiable(conn: Connection, kind: Kind, account: AccountId, name: str) -> Entity:
    """Return the user, group or role, which its account may change.

    Raises NoSuchEntity, and UnmodifiableEntity for a service-linked role.
    """
    return modifiable_role(conn, account, name) if kind is ROLE else get(conn, kind, account, name)


def modifiable_role(conn: Connection, account: AccountId, name: str) -> Role:
    """Return the role, which its account may change. Raises as `modifiable` does."""
    role = get_role(conn, account, name)
    if role.service is not None:
        raise errors.unmodifiable(
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS"
        )
    return role


def check_new(conn: Connection, kind: Kind, account: AccountId, name: str) -> None:
    """Raise EntityAlreadyExists if the name is taken, LimitExceeded if the account has as many as it may."""
    if find(conn, kind, account, name) is not None:
        raise _name_taken(kind, name)
    if identities.count(conn, kind.name, account) >= kind.per_account:
        raise errors.limit_exceeded(f"{kind.title}sPerAccount", kind.per_account)


def check_detached(conn: Connection, identity_id: str) -> None:
    """Raise DeleteConflict while managed policies are attached to the user, group or role."""
    if identity_policies.attached(conn, identity_id):
        raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")


def check_no_inline_policies(conn: Connection, identity_id: str) -> None:
    """Raise DeleteConflict while the user, group or role has inline policies."""
    if identity_policies.has_inline(conn, identity_id):
        raise errors.delete_conflict("Cannot delete entity, must delete policies first.")


def rename(
    conn: Connection, kind: Kind, account: AccountId, name: str, new_name: str | None, new_path: str | None
) -> Entity:
    """Give a user or group another name, another path, or both; return it. NoSuchEntity, EntityAlreadyExists."""
    entity = get(conn, kind, account, name)
    if new_name is not None:
        other = find(conn, kind, account, new_name)
        if other is not None and other.id != entity.id:
            raise _name_taken(kind, new_name)
    wanted = new_name or entity.name
    identities.rename(conn, entity.id, wanted, new_path or entity.path)
    return get(conn, kind, account, wanted)


def _name_taken(kind: Kind, name: str) -> QueryError:
    return errors.already_exists(f"{kind.title} with name {name} already exists.")
