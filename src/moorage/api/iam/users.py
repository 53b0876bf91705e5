"""Users: CreateUser, GetUser, ListUsers, DeleteUser."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value, instant
from moorage.api.iam import fields, paging
from moorage.api.iam.service import IAM, IamCall, by, owner, the_new_user, the_owner, the_user, users_under
from moorage.errors import QueryError
from moorage.identity.arns import root_arn
from moorage.identity.entity import Entity


@IAM.operation("CreateUser", action="iam:CreateUser", resource=the_new_user)
async def create_user(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    for field in ("PermissionsBoundary", "Tags.member.1.Key"):
        if request.get(field) is not None:
            raise QueryError("InvalidInput", f"{field.partition('.')[0]} is not supported for users yet.")
    name, path = fields.new_user_name(request), fields.path(request)
    return {"User": shown(await call.services.identity.users.create(call.account, path, name, by(call)))}


@IAM.operation("GetUser", action="iam:GetUser", resource=the_owner)
async def get_user(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Without UserName the caller itself, which may be the root."""
    name = owner(call, request)
    if name is not None:
        return {"User": shown(await call.services.identity.users.get(call.account, name))}
    made = await call.services.identity.accounts.created_at(call.account)
    at = instant(call.services.clock.now() if made is None else made)
    return {"User": {"UserId": call.account, "Arn": root_arn(call.account), "CreateDate": at}}


@IAM.operation("ListUsers", action="iam:ListUsers", resource=users_under)
async def list_users(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, prefix = paging.limit(request), fields.path_prefix(request)
    users = call.services.identity.users
    found = await users.page(call.account, prefix, after=paging.after(request), limit=most + 1)
    return paging.page("Users", found, most, lambda user: user.name, shown)


@IAM.operation("DeleteUser", action="iam:DeleteUser", resource=the_user)
async def delete_user(call: IamCall, request: Parameters) -> None:
    await call.services.identity.users.delete(call.account, fields.name(request, "UserName"), by(call))


def shown(user: Entity) -> Mapping[str, Value]:
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": instant(user.created_at),
    }
