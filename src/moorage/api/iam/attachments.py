"""Managed policies on users, groups and roles: Attach-, Detach…Policy, ListAttached…Policies, ListEntitiesForPolicy."""

from typing import Protocol

from moorage.api.iam import paging, response_members, shapes
from moorage.api.iam.parameters import managed_policy_arn
from moorage.api.iam.service import IamCall, MayHavePathPrefix, by, path_prefix_of
from moorage.identity.policies.attachments import position_of
from moorage.identity.principals.entity import GROUP, KINDS, ROLE, USER, Kind


async def attach_user_policy(call: IamCall, request: shapes.AttachUserPolicyRequest) -> None:
    await _attach(call, USER, request.user_name, request.policy_arn)


async def attach_group_policy(call: IamCall, request: shapes.AttachGroupPolicyRequest) -> None:
    await _attach(call, GROUP, request.group_name, request.policy_arn)


async def attach_role_policy(call: IamCall, request: shapes.AttachRolePolicyRequest) -> None:
    await _attach(call, ROLE, request.role_name, request.policy_arn)


async def _attach(call: IamCall, kind: Kind, name: str, arn: str) -> None:
    await call.services.identity.attachments.attach(kind, call.account, name, managed_policy_arn(arn), by(call))


async def detach_user_policy(call: IamCall, request: shapes.DetachUserPolicyRequest) -> None:
    await _detach(call, USER, request.user_name, request.policy_arn)


async def detach_group_policy(call: IamCall, request: shapes.DetachGroupPolicyRequest) -> None:
    await _detach(call, GROUP, request.group_name, request.policy_arn)


async def detach_role_policy(call: IamCall, request: shapes.DetachRolePolicyRequest) -> None:
    await _detach(call, ROLE, request.role_name, request.policy_arn)


async def _detach(call: IamCall, kind: Kind, name: str, arn: str) -> None:
    await call.services.identity.attachments.detach(kind, call.account, name, managed_policy_arn(arn), by(call))


async def list_attached_user_policies(
    call: IamCall, request: shapes.ListAttachedUserPoliciesRequest
) -> shapes.ListAttachedUserPoliciesResponse:
    page = await _attached(call, USER, request.user_name, request)
    return shapes.ListAttachedUserPoliciesResponse(
        attached_policies=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


async def list_attached_group_policies(
    call: IamCall, request: shapes.ListAttachedGroupPoliciesRequest
) -> shapes.ListAttachedGroupPoliciesResponse:
    page = await _attached(call, GROUP, request.group_name, request)
    return shapes.ListAttachedGroupPoliciesResponse(
        attached_policies=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


async def list_attached_role_policies(
    call: IamCall, request: shapes.ListAttachedRolePoliciesRequest
) -> shapes.ListAttachedRolePoliciesResponse:
    page = await _attached(call, ROLE, request.role_name, request)
    return shapes.ListAttachedRolePoliciesResponse(
        attached_policies=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


class _ListsAttached(MayHavePathPrefix, paging.AsksForPage, Protocol):
    """A request of ListAttached…Policies."""


async def _attached(
    call: IamCall, kind: Kind, name: str, request: _ListsAttached
) -> paging.Page[shapes.AttachedPolicy]:
    asked, prefix = paging.limits(request), path_prefix_of(request)
    found = await call.services.identity.attachments.of(kind, call.account, name)
    under = sorted((each for each in found if each.path.startswith(prefix)), key=lambda each: each.arn)
    return paging.page_of(asked, under, lambda each: each.arn, response_members.attached_policy)


async def list_entities_for_policy(
    call: IamCall, request: shapes.ListEntitiesForPolicyRequest
) -> shapes.ListEntitiesForPolicyResponse:
    """Return the groups, users and roles that have the policy attached or as boundary, in pages over all three."""
    most, after = paging.limits(request)
    found = await call.services.identity.attachments.entities(
        call.account,
        request.policy_arn,
        [each.name for each in KINDS.values() if request.entity_filter in {None, each.title}],
        path_prefix=path_prefix_of(request),
        attached=request.policy_usage_filter != "PermissionsBoundary",
        bounded=request.policy_usage_filter != "PermissionsPolicy",
        after=after,
        limit=most + 1,
    )
    room = paging.PageRoom(most)
    groups, users, roles = list[shapes.PolicyGroup](), list[shapes.PolicyUser](), list[shapes.PolicyRole]()
    for each in found:
        position = position_of(each)
        match each.kind:
            case GROUP.name:
                group = shapes.PolicyGroup(group_name=each.name, group_id=each.id)
                if not room.takes(group, position):
                    break
                groups.append(group)
            case USER.name:
                user = shapes.PolicyUser(user_name=each.name, user_id=each.id)
                if not room.takes(user, position):
                    break
                users.append(user)
            case _:
                role = shapes.PolicyRole(role_name=each.name, role_id=each.id)
                if not room.takes(role, position):
                    break
                roles.append(role)
    marker = room.marker()
    return shapes.ListEntitiesForPolicyResponse(
        policy_groups=groups, policy_users=users, policy_roles=roles, is_truncated=marker is not None, marker=marker
    )
