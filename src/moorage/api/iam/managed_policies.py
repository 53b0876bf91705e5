"""Managed policies: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.authorize import Resource
from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import documents, fields, paging, response_members
from moorage.api.iam.attachments import USAGES
from moorage.api.iam.service import IAM, IamCall, about_new, about_policy, by, in_account, the_new_policy, the_policy
from moorage.identity.policies.managed_policies import Owner, Usage

_SCOPES: Final = ("All", "AWS", "Local")
_OWNERS: Final[Mapping[Owner, str]] = {"account": "AWS", "aws": "Local"}
"""Whose policies there are, and the scope that leaves them out."""


@IAM.operation("CreatePolicy", action="iam:CreatePolicy", resource=the_new_policy, conditions=about_new)
async def create_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    name, path, text = fields.name(request, "PolicyName"), fields.policy_path(request), fields.document(request)
    description, tags = fields.policy_description(request), fields.tags(request)
    policy = await call.services.identity.managed.create(
        call.account, path, name, documents.checked(text, managed=True), by(call), description=description, tags=tags
    )
    return {"Policy": {**response_members.policy(policy), "Tags": response_members.tags(tags) or None}}


@IAM.operation("GetPolicy", action="iam:GetPolicy", resource=the_policy, conditions=about_policy)
async def get_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    policy = await call.services.identity.managed.get(call.account, fields.arn(request))
    tags = await call.services.identity.tags.of(policy.id)
    more: dict[str, Value] = {"Description": policy.description or None, "Tags": response_members.tags(tags)}
    return {"Policy": {**response_members.policy(policy), **more}}


async def _policies_under(call: IamCall, request: Parameters) -> Sequence[Resource]:
    """What IAM names in its denials [recall]; being no ARN, only a policy's `*` covers it."""
    return in_account(call, f"policy path {fields.path_prefix(request)}")


@IAM.operation("ListPolicies", action="iam:ListPolicies", resource=_policies_under)
async def list_policies(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The account's and AWS's policies, by ARN."""
    prefix, scope = fields.path_prefix(request), fields.choice(request, "Scope", _SCOPES)
    asked = paging.Asked.by(request)
    filtered, only_attached = fields.choice(request, "PolicyUsageFilter", USAGES), request.boolean("OnlyAttached")
    usage: Usage | None = "attached" if only_attached or filtered == "PermissionsPolicy" else None
    if filtered == "PermissionsBoundary":
        usage = "bounding"
    owners = [owner for owner, other in _OWNERS.items() if scope != other]
    found = await call.services.identity.managed.page(
        call.account, owners=owners, path_prefix=prefix, usage=usage, after=asked.after, limit=asked.most + 1
    )
    return paging.page("Policies", found, asked.most, lambda each: each.arn, response_members.policy)


@IAM.operation("DeletePolicy", action="iam:DeletePolicy", resource=the_policy, conditions=about_policy)
async def delete_policy(call: IamCall, request: Parameters) -> None:
    await call.services.identity.managed.delete(call.account, fields.arn(request), by(call))
