"""Roles: CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging, response_members
from moorage.api.iam.service import IAM, IamCall, about, about_new, by, name_of, the, the_new, those_under
from moorage.identity.principals.entity import ROLE
from moorage.identity.principals.roles import SESSION_SECONDS


@IAM.operation("CreateRole", action="iam:CreateRole", resource=the_new(ROLE), conditions=about_new)
async def create_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """MalformedPolicyDocument when the trust policy is none, or names a user or role that is not there."""
    text = fields.document(request, "AssumeRolePolicyDocument")
    name, path, tags = fields.new_name(request, "RoleName"), fields.path(request), fields.tags(request)
    description, seconds = fields.description(request) or "", fields.session_seconds(request) or SESSION_SECONDS
    boundary = fields.optional_arn(request, "PermissionsBoundary")
    role = await call.services.identity.roles.create(
        call.account,
        path,
        name,
        await call.services.principals.trust(text),
        by(call),
        max_session_seconds=seconds,
        description=description,
        tags=tags,
        boundary=boundary,
    )
    return {"Role": await response_members.created_role(call, role)}


@IAM.operation("GetRole", action="iam:GetRole", resource=the(ROLE), conditions=about(ROLE))
async def get_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    role = await call.services.identity.roles.get(call.account, name_of(ROLE, request))
    return {"Role": await response_members.whole_role(call, role)}


@IAM.operation("ListRoles", action="iam:ListRoles", resource=those_under(ROLE))
async def list_roles(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, prefix = paging.limit(request), fields.path_prefix(request)
    page = paging.Page(most, "Roles")
    async for role in call.services.identity.roles.each(call.account, prefix, after=paging.after(request)):
        if not page.takes("Roles", await response_members.role(call, role), role.name):
            break
    return page.answer()


@IAM.operation("UpdateRole", action="iam:UpdateRole", resource=the(ROLE), conditions=about(ROLE))
async def update_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """What is left out stays as it was [guess: AWS may set its defaults]."""
    name, seconds = name_of(ROLE, request), fields.session_seconds(request)
    description = fields.description(request)
    roles = call.services.identity.roles
    await roles.update(call.account, name, by(call), max_session_seconds=seconds, description=description)
    return {}


@IAM.operation("UpdateRoleDescription", action="iam:UpdateRoleDescription", resource=the(ROLE), conditions=about(ROLE))
async def update_role_description(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    name, _ = name_of(ROLE, request), request.required("Description")
    description = fields.description(request)
    role = await call.services.identity.roles.update(call.account, name, by(call), description=description)
    return {"Role": await response_members.whole_role(call, role)}


@IAM.operation(
    "UpdateAssumeRolePolicy", action="iam:UpdateAssumeRolePolicy", resource=the(ROLE), conditions=about(ROLE)
)
async def update_assume_role_policy(call: IamCall, request: Parameters) -> None:
    """MalformedPolicyDocument as with CreateRole. Living sessions go on."""
    name, text = name_of(ROLE, request), fields.document(request)
    in_force = await call.services.identity.roles.find(call.account, name)
    trust = await call.services.principals.trust(text, in_force="" if in_force is None else in_force.trust)
    await call.services.identity.roles.set_trust(call.account, name, trust, by(call))


@IAM.operation("DeleteRole", action="iam:DeleteRole", resource=the(ROLE), conditions=about(ROLE))
async def delete_role(call: IamCall, request: Parameters) -> None:
    await call.services.identity.roles.delete(call.account, name_of(ROLE, request), by(call))
