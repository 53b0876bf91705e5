"""Groups and their members: Create-, Get-, List-, Update-, DeleteGroup, AddUserToGroup, RemoveUserFromGroup, …"""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging, response_members
from moorage.api.iam.service import IAM, IamCall, about, by, name_of, the, the_new, the_renamed, those_under
from moorage.identity.principals.entity import GROUP, USER


@IAM.operation("CreateGroup", action="iam:CreateGroup", resource=the_new(GROUP))
async def create_group(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    name, path = name_of(GROUP, request), fields.path(request)
    return {
        "Group": response_members.entity(await call.services.identity.groups.create(call.account, path, name, by(call)))
    }


@IAM.operation("GetGroup", action="iam:GetGroup", resource=the(GROUP))
async def get_group(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The group and a page of its members."""
    name, most, after = name_of(GROUP, request), paging.limit(request), paging.after(request)
    group, users = await call.services.identity.groups.members(call.account, name, after=after, limit=most + 1)
    return {
        "Group": response_members.entity(group),
        **paging.page("Users", users, most, lambda user: user.name, response_members.entity),
    }


@IAM.operation("ListGroups", action="iam:ListGroups", resource=those_under(GROUP))
async def list_groups(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, prefix = paging.limit(request), fields.path_prefix(request)
    groups = call.services.identity.groups
    found = await groups.page(call.account, prefix, after=paging.after(request), limit=most + 1)
    return paging.page("Groups", found, most, lambda group: group.name, response_members.entity)


@IAM.operation("UpdateGroup", action="iam:UpdateGroup", resource=the_renamed(GROUP))
async def update_group(call: IamCall, request: Parameters) -> None:
    name, new_name = name_of(GROUP, request), fields.optional_name(request, "NewGroupName")
    new_path = None if request.get("NewPath") is None else fields.path(request, "NewPath")
    await call.services.identity.groups.update(call.account, name, by(call), new_name=new_name, new_path=new_path)


@IAM.operation("DeleteGroup", action="iam:DeleteGroup", resource=the(GROUP))
async def delete_group(call: IamCall, request: Parameters) -> None:
    await call.services.identity.groups.delete(call.account, name_of(GROUP, request), by(call))


@IAM.operation("AddUserToGroup", action="iam:AddUserToGroup", resource=the(GROUP))
async def add_user_to_group(call: IamCall, request: Parameters) -> None:
    group, user = name_of(GROUP, request), name_of(USER, request)
    await call.services.identity.groups.add_user(call.account, group, user, by(call))


@IAM.operation("RemoveUserFromGroup", action="iam:RemoveUserFromGroup", resource=the(GROUP))
async def remove_user_from_group(call: IamCall, request: Parameters) -> None:
    group, user = name_of(GROUP, request), name_of(USER, request)
    await call.services.identity.groups.remove_user(call.account, group, user, by(call))


@IAM.operation("ListGroupsForUser", action="iam:ListGroupsForUser", resource=the(USER), conditions=about(USER))
async def list_groups_for_user(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    asked = paging.Asked.by(request)
    groups = await call.services.identity.groups.of_user(call.account, name_of(USER, request))
    return asked.of("Groups", groups, lambda group: group.name.lower(), response_members.entity)
