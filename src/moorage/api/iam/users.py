"""Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser."""

from moorage.api.iam import paging, response_members, shapes
from moorage.api.iam.parameters import tags_by_key
from moorage.api.iam.service import IamCall, by, owner, path_of, path_prefix_of


async def create_user(call: IamCall, request: shapes.CreateUserRequest) -> shapes.CreateUserResponse:
    user = await call.services.identity.users.create(
        call.account,
        path_of(request),
        request.user_name,
        by(call),
        tags=tags_by_key(request.tags),
        boundary=request.permissions_boundary,
    )
    return shapes.CreateUserResponse(user=await response_members.user_in_full(call, user))


async def get_user(call: IamCall, request: shapes.GetUserRequest) -> shapes.GetUserResponse:
    """Without UserName the caller itself, which may be the root."""
    name = owner(call, request)
    if name is not None:
        user = await call.services.identity.users.get(call.account, name)
        return shapes.GetUserResponse(user=await response_members.user_in_full(call, user))
    created_at = await call.services.identity.accounts.created_at(call.account)
    root = response_members.root_user(call.account, call.services.clock.now() if created_at is None else created_at)
    return shapes.GetUserResponse(user=root)


async def list_users(call: IamCall, request: shapes.ListUsersRequest) -> shapes.ListUsersResponse:
    most, after = paging.limits(request)
    found = await call.services.identity.users.page(call.account, path_prefix_of(request), after=after, limit=most + 1)
    page = paging.page(found, most, lambda user: user.name, response_members.user)
    return shapes.ListUsersResponse(users=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def update_user(call: IamCall, request: shapes.UpdateUserRequest) -> None:
    """Keep the user's unique id, so that policies that name the user still do."""
    await call.services.identity.users.update(
        call.account, request.user_name, by(call), new_name=request.new_user_name, new_path=request.new_path
    )


async def delete_user(call: IamCall, request: shapes.DeleteUserRequest) -> None:
    await call.services.identity.users.delete(call.account, request.user_name, by(call))
