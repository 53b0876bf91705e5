"""GetAccountAuthorizationDetails: every user, group, role and policy of the account in full, in pages."""

from collections.abc import Mapping
from typing import Final

from moorage.api.aws.xml import timestamp
from moorage.api.iam import paging, response_members, shapes
from moorage.api.iam.documents import encoded
from moorage.api.iam.parameters import tag_list
from moorage.api.iam.service import IamCall
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals.details import Details
from moorage.identity.principals.entity import Entity, Role

_KINDS: Final[Mapping[str, str]] = {
    "User": "user",
    "Role": "role",
    "Group": "group",
    "LocalManagedPolicy": "policy",
    "AWSManagedPolicy": "aws",
}
"""Kinds of details by the values of Filter."""


async def get_account_authorization_details(
    call: IamCall, request: shapes.GetAccountAuthorizationDetailsRequest
) -> shapes.GetAccountAuthorizationDetailsResponse:
    """Return AWS's policies only if they are in use, unless the filter asks for all of them [recall]."""
    kinds = {_KINDS[each] for each in request.filter or ()} or set(_KINDS.values())
    most, after = paging.limits(request)
    found, more = await call.services.identity.details.truncated_page(call.account, kinds, after=after, limit=most)
    room = paging.PageRoom(most)
    users, groups = list[shapes.UserDetail](), list[shapes.GroupDetail]()
    roles, policies = list[shapes.RoleDetail](), list[shapes.ManagedPolicyDetail]()
    for details in found:
        if details.role is not None:
            role = await _role(call, details.role, details)
            if not room.takes(role, details.position):
                break
            roles.append(role)
        elif details.policy is not None:
            policy = _policy(details.policy, details)
            if not room.takes(policy, details.position):
                break
            policies.append(policy)
        elif details.entity is not None and details.kind == "user":
            user = _user(details.entity, details)
            if not room.takes(user, details.position):
                break
            users.append(user)
        elif details.entity is not None:
            group = _group(details.entity, details)
            if not room.takes(group, details.position):
                break
            groups.append(group)
    marker = room.marker(more=more)
    return shapes.GetAccountAuthorizationDetailsResponse(
        user_detail_list=users,
        group_detail_list=groups,
        role_detail_list=roles,
        policies=policies,
        is_truncated=marker is not None,
        marker=marker,
    )


def _user(entity: Entity, details: Details) -> shapes.UserDetail:
    return shapes.UserDetail(
        path=entity.path,
        user_name=entity.name,
        user_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
        user_policy_list=_inline(details),
        group_list=list(details.groups),
        attached_managed_policies=_attached(details),
        permissions_boundary=response_members.permissions_boundary(details.boundary),
        tags=tag_list(details.tags),
    )


def _group(entity: Entity, details: Details) -> shapes.GroupDetail:
    return shapes.GroupDetail(
        path=entity.path,
        group_name=entity.name,
        group_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
        group_policy_list=_inline(details),
        attached_managed_policies=_attached(details),
    )


async def _role(call: IamCall, entity: Role, details: Details) -> shapes.RoleDetail:
    return shapes.RoleDetail(
        path=entity.path,
        role_name=entity.name,
        role_id=entity.id,
        arn=entity.arn,
        create_date=timestamp(entity.created_at),
        assume_role_policy_document=await response_members.trust_policy(call, entity),
        instance_profile_list=[],
        role_policy_list=_inline(details),
        attached_managed_policies=_attached(details),
        permissions_boundary=response_members.permissions_boundary(details.boundary),
        tags=tag_list(details.tags),
        role_last_used=response_members.last_used(entity),
    )


def _policy(managed: ManagedPolicy, details: Details) -> shapes.ManagedPolicyDetail:
    return shapes.ManagedPolicyDetail(
        policy_name=managed.name,
        policy_id=managed.id,
        arn=managed.arn,
        path=managed.path,
        default_version_id=f"v{managed.default_version}",
        attachment_count=managed.attached,
        permissions_boundary_usage_count=managed.bounding,
        is_attachable=True,
        description=managed.description or None,
        create_date=timestamp(managed.created_at),
        update_date=timestamp(managed.updated_at),
        policy_version_list=[
            shapes.PolicyVersion(
                document=encoded(version.text),
                version_id=f"v{version.number}",
                is_default_version=version.is_default,
                create_date=timestamp(version.created_at),
            )
            for version in details.versions
        ],
    )


def _inline(details: Details) -> list[shapes.PolicyDetail]:
    return [shapes.PolicyDetail(policy_name=each.name, policy_document=encoded(each.text)) for each in details.inline]


def _attached(details: Details) -> list[shapes.AttachedPolicy]:
    return [response_members.attached_policy(each) for each in details.attached]
