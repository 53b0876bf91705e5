"""Groups and their members: Create-, Get-, List-, Update-, DeleteGroup, AddUserToGroup, RemoveUserFromGroup, …"""

from moorage.api.iam import paging, response_members, shapes
from moorage.api.iam.service import IamCall, by, path_of, path_prefix_of


async def create_group(call: IamCall, request: shapes.CreateGroupRequest) -> shapes.CreateGroupResponse:
    groups = call.services.identity.groups
    group = await groups.create(call.account, path_of(request), request.group_name, by(call))
    return shapes.CreateGroupResponse(group=response_members.group(group))


async def get_group(call: IamCall, request: shapes.GetGroupRequest) -> shapes.GetGroupResponse:
    """Return the group and a page of its members."""
    most, after = paging.limits(request)
    group, users = await call.services.identity.groups.members(
        call.account, request.group_name, after=after, limit=most + 1
    )
    page = paging.page(users, most, lambda user: user.name, response_members.user)
    return shapes.GetGroupResponse(
        group=response_members.group(group), users=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


async def list_groups(call: IamCall, request: shapes.ListGroupsRequest) -> shapes.ListGroupsResponse:
    most, after = paging.limits(request)
    found = await call.services.identity.groups.page(call.account, path_prefix_of(request), after=after, limit=most + 1)
    page = paging.page(found, most, lambda group: group.name, response_members.group)
    return shapes.ListGroupsResponse(groups=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def update_group(call: IamCall, request: shapes.UpdateGroupRequest) -> None:
    await call.services.identity.groups.update(
        call.account, request.group_name, by(call), new_name=request.new_group_name, new_path=request.new_path
    )


async def delete_group(call: IamCall, request: shapes.DeleteGroupRequest) -> None:
    await call.services.identity.groups.delete(call.account, request.group_name, by(call))


async def add_user_to_group(call: IamCall, request: shapes.AddUserToGroupRequest) -> None:
    await call.services.identity.groups.add_user(call.account, request.group_name, request.user_name, by(call))


async def remove_user_from_group(call: IamCall, request: shapes.RemoveUserFromGroupRequest) -> None:
    await call.services.identity.groups.remove_user(call.account, request.group_name, request.user_name, by(call))


async def list_groups_for_user(
    call: IamCall, request: shapes.ListGroupsForUserRequest
) -> shapes.ListGroupsForUserResponse:
    asked = paging.limits(request)
    groups = await call.services.identity.groups.of_user(call.account, request.user_name)
    page = paging.page_of(asked, groups, lambda group: group.name.lower(), response_members.group)
    return shapes.ListGroupsForUserResponse(groups=page.items, is_truncated=page.is_truncated, marker=page.marker)
