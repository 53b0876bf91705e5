"""Users, groups, roles and policies as members of IAM's responses."""

from typing import Any

from msgspec.structs import replace

from moorage.api.aws.xml import timestamp
from moorage.api.iam import shapes
from moorage.api.iam.documents import encoded
from moorage.api.iam.parameters import tag_list
from moorage.api.iam.service import IamCall
from moorage.identity.arns import root_arn
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals.entity import Entity, Role
from moorage.names import AccountId


def user(entity: Entity) -> shapes.User:
    """Return what lists have of a user."""
    return shapes.User(
        path=entity.path,
        user_name=entity.name,
        user_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
    )


async def user_in_full(call: IamCall, entity: Entity) -> shapes.User:
    """Return a user with its permissions boundary and tags."""
    boundary, tags = await _boundary_of(call, entity), await _tags_of(call, entity)
    return replace(user(entity), permissions_boundary=boundary, tags=tags)


def root_user(account: AccountId, created_at: float) -> shapes.User:
    """Return the root of an account, of which IAM returns no name and no path, although its service model requires
    both."""
    absent: Any = None
    return shapes.User(
        path=absent,
        user_name=absent,
        user_id=account,
        arn=root_arn(account),
        create_date=timestamp(created_at),
    )


def group(entity: Entity) -> shapes.Group:
    return shapes.Group(
        path=entity.path,
        group_name=entity.name,
        group_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
    )


async def role(call: IamCall, entity: Role) -> shapes.Role:
    """Return what lists have of a role."""
    return shapes.Role(
        path=entity.path,
        role_name=entity.name,
        role_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
        assume_role_policy_document=await trust_policy(call, entity),
        description=entity.description or None,
        max_session_duration=entity.max_session_seconds,
    )


async def created_role(call: IamCall, entity: Role) -> shapes.Role:
    """Return what CreateRole and CreateServiceLinkedRole return: without session duration and last use."""
    boundary, tags = await _boundary_of(call, entity), await _tags_of(call, entity)
    return replace(await role(call, entity), max_session_duration=None, permissions_boundary=boundary, tags=tags)


async def role_in_full(call: IamCall, entity: Role) -> shapes.Role:
    """Return a role with its permissions boundary, tags and last use."""
    boundary, tags = await _boundary_of(call, entity), await _tags_of(call, entity)
    return replace(await role(call, entity), permissions_boundary=boundary, tags=tags, role_last_used=last_used(entity))


async def trust_policy(call: IamCall, entity: Role) -> str:
    """Return the trust policy of a role, with the principals as it names them."""
    return encoded(await call.services.principals.shown(entity.trust))


async def _boundary_of(call: IamCall, entity: Entity) -> shapes.AttachedPermissionsBoundary | None:
    if entity.boundary_id is None:
        return None
    return permissions_boundary(await call.services.identity.managed.arn_of(entity.boundary_id))


async def _tags_of(call: IamCall, entity: Entity) -> list[shapes.Tag] | None:
    return tag_list(await call.services.identity.tags.of(entity.id)) or None


def permissions_boundary(arn: str | None) -> shapes.AttachedPermissionsBoundary | None:
    """Return the permissions boundary with that ARN."""
    if arn is None:
        return None
    # IAM returns `Policy`, although its service model has `PermissionsBoundaryPolicy` as the only value.
    return shapes.AttachedPermissionsBoundary(permissions_boundary_type="Policy", permissions_boundary_arn=arn)


def last_used(entity: Role) -> shapes.RoleLastUsed:
    """Return when a role was last used; empty for a role that was never used."""
    if entity.used is None:
        return shapes.RoleLastUsed()
    return shapes.RoleLastUsed(last_used_date=timestamp(entity.used.at), region=entity.used.region)


def policy(managed: ManagedPolicy) -> shapes.Policy:
    """Return what lists have of a managed policy."""
    return shapes.Policy(
        policy_name=managed.name,
        policy_id=managed.id,
        arn=managed.arn,
        path=managed.path,
        default_version_id=f"v{managed.default_version}",
        attachment_count=managed.attached,
        permissions_boundary_usage_count=managed.bounding,
        is_attachable=True,
        create_date=timestamp(managed.created_at),
        update_date=timestamp(managed.updated_at),
    )


def attached_policy(managed: ManagedPolicy) -> shapes.AttachedPolicy:
    return shapes.AttachedPolicy(policy_name=managed.name, policy_arn=managed.arn)
