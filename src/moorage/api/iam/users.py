"""Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value, instant
from moorage.api.iam import fields, paging, response_members
from moorage.api.iam.service import (
    IAM,
    IamCall,
    about,
    about_new,
    by,
    name_of,
    owner,
    the,
    the_new,
    the_owner,
    the_renamed,
    those_under,
)
from moorage.identity.arns import root_arn
from moorage.identity.principals.entity import USER


@IAM.operation("CreateUser", action="iam:CreateUser", resource=the_new(USER), conditions=about_new)
async def create_user(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    name, path, tags = fields.new_name(request, "UserName"), fields.path(request), fields.tags(request)
    boundary = fields.optional_arn(request, "PermissionsBoundary")
    users = call.services.identity.users
    user = await users.create(call.account, path, name, by(call), tags=tags, boundary=boundary)
    return {"User": await response_members.whole_user(call, user)}


@IAM.operation("GetUser", action="iam:GetUser", resource=the_owner, conditions=about(USER))
async def get_user(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Without UserName the caller itself, which may be the root."""
    name = owner(call, request)
    if name is not None:
        return {
            "User": await response_members.whole_user(call, await call.services.identity.users.get(call.account, name))
        }
    made = await call.services.identity.accounts.created_at(call.account)
    at = instant(call.services.clock.now() if made is None else made)
    return {"User": {"UserId": call.account, "Arn": root_arn(call.account), "CreateDate": at}}


@IAM.operation("ListUsers", action="iam:ListUsers", resource=those_under(USER))
async def list_users(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, prefix = paging.limit(request), fields.path_prefix(request)
    users = call.services.identity.users
    found = await users.page(call.account, prefix, after=paging.after(request), limit=most + 1)
    return paging.page("Users", found, most, lambda user: user.name, response_members.entity)


@IAM.operation("UpdateUser", action="iam:UpdateUser", resource=the_renamed(USER), conditions=about(USER))
async def update_user(call: IamCall, request: Parameters) -> None:
    """Its unique id stays, so policies that name the user go on naming it."""
    name = name_of(USER, request)
    new_name = None if request.get("NewUserName") is None else fields.new_name(request, "NewUserName")
    new_path = None if request.get("NewPath") is None else fields.path(request, "NewPath")
    await call.services.identity.users.update(call.account, name, by(call), new_name=new_name, new_path=new_path)


@IAM.operation("DeleteUser", action="iam:DeleteUser", resource=the(USER), conditions=about(USER))
async def delete_user(call: IamCall, request: Parameters) -> None:
    await call.services.identity.users.delete(call.account, name_of(USER, request), by(call))
