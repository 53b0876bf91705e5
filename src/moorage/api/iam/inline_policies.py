"""Inline policies of users, groups and roles: Put-, Get-, List- and Delete{User,Group,Role}Policy."""

from moorage.api.iam import documents, paging, shapes
from moorage.api.iam.service import IamCall, by
from moorage.identity.principals.entity import GROUP, ROLE, USER, Kind


async def put_user_policy(call: IamCall, request: shapes.PutUserPolicyRequest) -> None:
    await _put(call, USER, request.user_name, request.policy_name, request.policy_document)


async def put_group_policy(call: IamCall, request: shapes.PutGroupPolicyRequest) -> None:
    await _put(call, GROUP, request.group_name, request.policy_name, request.policy_document)


async def put_role_policy(call: IamCall, request: shapes.PutRolePolicyRequest) -> None:
    await _put(call, ROLE, request.role_name, request.policy_name, request.policy_document)


async def _put(call: IamCall, kind: Kind, owner: str, name: str, text: str) -> None:
    """Keep the document as it was given. Raises MalformedPolicyDocument if it is not a valid identity policy."""
    await call.services.identity.inline.put(kind, call.account, owner, name, documents.checked(text), by(call))


async def get_user_policy(call: IamCall, request: shapes.GetUserPolicyRequest) -> shapes.GetUserPolicyResponse:
    owner, document = await _get(call, USER, request.user_name, request.policy_name)
    return shapes.GetUserPolicyResponse(user_name=owner, policy_name=request.policy_name, policy_document=document)


async def get_group_policy(call: IamCall, request: shapes.GetGroupPolicyRequest) -> shapes.GetGroupPolicyResponse:
    owner, document = await _get(call, GROUP, request.group_name, request.policy_name)
    return shapes.GetGroupPolicyResponse(group_name=owner, policy_name=request.policy_name, policy_document=document)


async def get_role_policy(call: IamCall, request: shapes.GetRolePolicyRequest) -> shapes.GetRolePolicyResponse:
    owner, document = await _get(call, ROLE, request.role_name, request.policy_name)
    return shapes.GetRolePolicyResponse(role_name=owner, policy_name=request.policy_name, policy_document=document)


async def _get(call: IamCall, kind: Kind, owner: str, name: str) -> tuple[str, str]:
    """Return the owner's name as it is spelled, and the document, percent-encoded."""
    spelled, text = await call.services.identity.inline.text(kind, call.account, owner, name)
    return spelled, documents.encoded(text)


async def list_user_policies(call: IamCall, request: shapes.ListUserPoliciesRequest) -> shapes.ListUserPoliciesResponse:
    page = await _names(call, USER, request.user_name, request)
    return shapes.ListUserPoliciesResponse(policy_names=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def list_group_policies(
    call: IamCall, request: shapes.ListGroupPoliciesRequest
) -> shapes.ListGroupPoliciesResponse:
    page = await _names(call, GROUP, request.group_name, request)
    return shapes.ListGroupPoliciesResponse(policy_names=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def list_role_policies(call: IamCall, request: shapes.ListRolePoliciesRequest) -> shapes.ListRolePoliciesResponse:
    page = await _names(call, ROLE, request.role_name, request)
    return shapes.ListRolePoliciesResponse(policy_names=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def _names(call: IamCall, kind: Kind, owner: str, request: paging.AsksForPage) -> paging.Page[str]:
    asked = paging.limits(request)
    names = await call.services.identity.inline.names(kind, call.account, owner)
    return paging.page_of(asked, names, str, str)


async def delete_user_policy(call: IamCall, request: shapes.DeleteUserPolicyRequest) -> None:
    await _delete(call, USER, request.user_name, request.policy_name)


async def delete_group_policy(call: IamCall, request: shapes.DeleteGroupPolicyRequest) -> None:
    await _delete(call, GROUP, request.group_name, request.policy_name)


async def delete_role_policy(call: IamCall, request: shapes.DeleteRolePolicyRequest) -> None:
    await _delete(call, ROLE, request.role_name, request.policy_name)


async def _delete(call: IamCall, kind: Kind, owner: str, name: str) -> None:
    await call.services.identity.inline.delete(kind, call.account, owner, name, by(call))
