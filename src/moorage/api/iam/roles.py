"""Roles: CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole."""

from moorage.api.iam import paging, response_members, shapes
from moorage.api.iam.parameters import tags_by_key
from moorage.api.iam.service import IamCall, by, path_of, path_prefix_of
from moorage.identity.principals.roles import SESSION_SECONDS


async def create_role(call: IamCall, request: shapes.CreateRoleRequest) -> shapes.CreateRoleResponse:
    """Raises MalformedPolicyDocument for an invalid trust policy, and for one that names a user or role that is
    missing."""
    role = await call.services.identity.roles.create(
        call.account,
        path_of(request),
        request.role_name,
        await call.services.principals.trust(request.assume_role_policy_document),
        by(call),
        max_session_seconds=request.max_session_duration or SESSION_SECONDS,
        description=request.description or "",
        tags=tags_by_key(request.tags),
        boundary=request.permissions_boundary,
    )
    return shapes.CreateRoleResponse(role=await response_members.created_role(call, role))


async def get_role(call: IamCall, request: shapes.GetRoleRequest) -> shapes.GetRoleResponse:
    role = await call.services.identity.roles.get(call.account, request.role_name)
    return shapes.GetRoleResponse(role=await response_members.role_in_full(call, role))


async def list_roles(call: IamCall, request: shapes.ListRolesRequest) -> shapes.ListRolesResponse:
    most, after = paging.limits(request)
    room, roles = paging.PageRoom(most), []
    async for each in call.services.identity.roles.each(call.account, path_prefix_of(request), after=after):
        role = await response_members.role(call, each)
        if not room.takes(role, each.name):
            break
        roles.append(role)
    marker = room.marker()
    return shapes.ListRolesResponse(roles=roles, is_truncated=marker is not None, marker=marker)


async def update_role(call: IamCall, request: shapes.UpdateRoleRequest) -> shapes.UpdateRoleResponse:
    """Leave what the request omits as it was [guess: AWS may set its defaults]."""
    await call.services.identity.roles.update(
        call.account,
        request.role_name,
        by(call),
        max_session_seconds=request.max_session_duration,
        description=request.description,
    )
    return shapes.UpdateRoleResponse()


async def update_role_description(
    call: IamCall, request: shapes.UpdateRoleDescriptionRequest
) -> shapes.UpdateRoleDescriptionResponse:
    roles = call.services.identity.roles
    role = await roles.update(call.account, request.role_name, by(call), description=request.description)
    return shapes.UpdateRoleDescriptionResponse(role=await response_members.role_in_full(call, role))


async def update_assume_role_policy(call: IamCall, request: shapes.UpdateAssumeRolePolicyRequest) -> None:
    """Raises MalformedPolicyDocument as CreateRole does. Sessions of the role remain valid."""
    roles = call.services.identity.roles
    role = await roles.find(call.account, request.role_name)
    trust = await call.services.principals.trust(request.policy_document, in_force="" if role is None else role.trust)
    await roles.set_trust(call.account, request.role_name, trust, by(call))


async def delete_role(call: IamCall, request: shapes.DeleteRoleRequest) -> None:
    await call.services.identity.roles.delete(call.account, request.role_name, by(call))
