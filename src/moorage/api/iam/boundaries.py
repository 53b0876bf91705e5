"""Permissions boundaries of users and roles: Put- and Delete{User,Role}PermissionsBoundary."""

from moorage.api.iam import shapes
from moorage.api.iam.service import IamCall, by
from moorage.identity.principals.entity import ROLE, USER


async def put_user_permissions_boundary(call: IamCall, request: shapes.PutUserPermissionsBoundaryRequest) -> None:
    attachments, arn = call.services.identity.attachments, request.permissions_boundary
    await attachments.set_boundary(USER, call.account, request.user_name, arn, by(call))


async def delete_user_permissions_boundary(call: IamCall, request: shapes.DeleteUserPermissionsBoundaryRequest) -> None:
    await call.services.identity.attachments.remove_boundary(USER, call.account, request.user_name, by(call))


async def put_role_permissions_boundary(call: IamCall, request: shapes.PutRolePermissionsBoundaryRequest) -> None:
    attachments, arn = call.services.identity.attachments, request.permissions_boundary
    await attachments.set_boundary(ROLE, call.account, request.role_name, arn, by(call))


async def delete_role_permissions_boundary(call: IamCall, request: shapes.DeleteRolePermissionsBoundaryRequest) -> None:
    await call.services.identity.attachments.remove_boundary(ROLE, call.account, request.role_name, by(call))
