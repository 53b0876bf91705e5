"""Managed policies: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from moorage.access.resources import Resource
from moorage.api.iam import documents, paging, response_members, shapes
from moorage.api.iam.parameters import tag_list, tags_by_key
from moorage.api.iam.service import IamCall, by, in_account, path_of, path_prefix_of
from moorage.identity.policies.managed_policies import Owner, Usage

_OWNERS: Final[Mapping[Owner, str]] = {"account": "AWS", "aws": "Local"}
"""Owners of policies, and the scope that leaves their policies out."""


async def create_policy(call: IamCall, request: shapes.CreatePolicyRequest) -> shapes.CreatePolicyResponse:
    tags = tags_by_key(request.tags)
    policy = await call.services.identity.managed.create(
        call.account,
        path_of(request),
        request.policy_name,
        documents.checked(request.policy_document, managed=True),
        by(call),
        description=request.description or "",
        tags=tags,
    )
    return shapes.CreatePolicyResponse(policy=replace(response_members.policy(policy), tags=tag_list(tags) or None))


async def get_policy(call: IamCall, request: shapes.GetPolicyRequest) -> shapes.GetPolicyResponse:
    policy = await call.services.identity.managed.get(call.account, request.policy_arn)
    tags = tag_list(await call.services.identity.tags.of(policy.id))
    return shapes.GetPolicyResponse(
        policy=replace(response_members.policy(policy), description=policy.description or None, tags=tags)
    )


async def policies_under(call: IamCall, request: shapes.ListPoliciesRequest) -> Sequence[Resource]:
    """Return what IAM names in its denials [recall]; it is not an ARN, so only a policy's `*` covers it."""
    return in_account(call, f"policy path {path_prefix_of(request)}")


async def list_policies(call: IamCall, request: shapes.ListPoliciesRequest) -> shapes.ListPoliciesResponse:
    """Return policies of the account and of AWS, by ARN."""
    most, after = paging.limits(request)
    wanted = request.policy_usage_filter
    usage: Usage | None = "attached" if request.only_attached or wanted == "PermissionsPolicy" else None
    if wanted == "PermissionsBoundary":
        usage = "bounding"
    found = await call.services.identity.managed.page(
        call.account,
        owners=[owner for owner, other in _OWNERS.items() if request.scope != other],
        path_prefix=path_prefix_of(request),
        usage=usage,
        after=after,
        limit=most + 1,
    )
    page = paging.page(found, most, lambda each: each.arn, response_members.policy)
    return shapes.ListPoliciesResponse(policies=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def delete_policy(call: IamCall, request: shapes.DeletePolicyRequest) -> None:
    await call.services.identity.managed.delete(call.account, request.policy_arn, by(call))
