"""Users, groups, roles and policies as members of IAM's answers."""

from collections.abc import Mapping

from moorage.api.aws.query import Value, instant
from moorage.api.iam import documents
from moorage.api.iam.service import IamCall
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals.entity import KINDS, Entity, Role


def entity(one: Entity) -> dict[str, Value]:
    """What lists say of a user, group or role."""
    title = KINDS[one.kind].title
    return {
        "Path": one.path,
        f"{title}Name": one.name,
        f"{title}Id": one.id,
        "Arn": one.arn,
        "CreateDate": instant(one.created_at),
    }


async def role(call: IamCall, one: Role) -> dict[str, Value]:
    """What lists say of a role."""
    return {
        **entity(one),
        "AssumeRolePolicyDocument": documents.shown(await call.services.principals.shown(one.trust)),
        "Description": one.description or None,
        "MaxSessionDuration": one.max_session_seconds,
    }


async def whole_user(call: IamCall, one: Entity) -> dict[str, Value]:
    """A user with its boundary and tags."""
    return {**entity(one), **await limits(call, one)}


async def created_role(call: IamCall, one: Role) -> dict[str, Value]:
    """Return what CreateRole and CreateServiceLinkedRole return: without the session duration and the last use."""
    return {**await role(call, one), **await limits(call, one), "MaxSessionDuration": None}


async def whole_role(call: IamCall, one: Role) -> dict[str, Value]:
    """A role with its boundary, tags and last use."""
    return {**await role(call, one), **await limits(call, one), "RoleLastUsed": last_used(one)}


async def limits(call: IamCall, one: Entity) -> dict[str, Value]:
    """The permissions boundary and the tags of a user or role; left out where there are none."""
    identity = call.services.identity
    arn = None if one.boundary_id is None else await identity.managed.arn_of(one.boundary_id)
    return {"PermissionsBoundary": boundary(arn), "Tags": tags(await identity.tags.of(one.id)) or None}


def boundary(arn: str | None) -> Value:
    if arn is None:
        return None
    # IAM returns `Policy`, although its service model has `PermissionsBoundaryPolicy` as the only value.
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def last_used(one: Role) -> Mapping[str, Value]:
    """Empty for a role that was never used."""
    if one.used is None:
        return {}
    return {"LastUsedDate": instant(one.used.at), "Region": one.used.region}


def tags(found: Mapping[str, str]) -> list[Value]:
    return [{"Key": key, "Value": value} for key, value in found.items()]


def policy(one: ManagedPolicy) -> dict[str, Value]:
    """What lists say of a managed policy."""
    return {
        "PolicyName": one.name,
        "PolicyId": one.id,
        "Arn": one.arn,
        "Path": one.path,
        "DefaultVersionId": f"v{one.default_version}",
        "AttachmentCount": one.attached,
        "PermissionsBoundaryUsageCount": one.bounding,
        "IsAttachable": True,
        "CreateDate": instant(one.created_at),
        "UpdateDate": instant(one.updated_at),
    }


def attached(one: ManagedPolicy) -> Value:
    return {"PolicyName": one.name, "PolicyArn": one.arn}
