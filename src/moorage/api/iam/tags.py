"""Tags of users, roles and managed policies: Tag-, Untag{User,Role,Policy}, List{User,Role,Policy}Tags."""

from moorage.api.iam import paging, shapes
from moorage.api.iam.parameters import tags_by_key
from moorage.api.iam.service import HasTagKeys, IamCall, MayHaveTags, by
from moorage.identity.principals.entity import ROLE, USER

_POLICY = "policy"


async def tag_user(call: IamCall, request: shapes.TagUserRequest) -> None:
    await _tag(call, USER.name, request.user_name, request)


async def tag_role(call: IamCall, request: shapes.TagRoleRequest) -> None:
    await _tag(call, ROLE.name, request.role_name, request)


async def tag_policy(call: IamCall, request: shapes.TagPolicyRequest) -> None:
    await _tag(call, _POLICY, request.policy_arn, request)


async def _tag(call: IamCall, kind: str, name: str, request: MayHaveTags) -> None:
    await call.services.identity.tags.set(kind, call.account, name, tags_by_key(request.tags), by(call))


async def untag_user(call: IamCall, request: shapes.UntagUserRequest) -> None:
    await _untag(call, USER.name, request.user_name, request)


async def untag_role(call: IamCall, request: shapes.UntagRoleRequest) -> None:
    await _untag(call, ROLE.name, request.role_name, request)


async def untag_policy(call: IamCall, request: shapes.UntagPolicyRequest) -> None:
    await _untag(call, _POLICY, request.policy_arn, request)


async def _untag(call: IamCall, kind: str, name: str, request: HasTagKeys) -> None:
    await call.services.identity.tags.remove(kind, call.account, name, request.tag_keys, by(call))


async def list_user_tags(call: IamCall, request: shapes.ListUserTagsRequest) -> shapes.ListUserTagsResponse:
    page = await _tags(call, USER.name, request.user_name, request)
    return shapes.ListUserTagsResponse(tags=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def list_role_tags(call: IamCall, request: shapes.ListRoleTagsRequest) -> shapes.ListRoleTagsResponse:
    page = await _tags(call, ROLE.name, request.role_name, request)
    return shapes.ListRoleTagsResponse(tags=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def list_policy_tags(call: IamCall, request: shapes.ListPolicyTagsRequest) -> shapes.ListPolicyTagsResponse:
    page = await _tags(call, _POLICY, request.policy_arn, request)
    return shapes.ListPolicyTagsResponse(tags=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def _tags(call: IamCall, kind: str, name: str, request: paging.AsksForPage) -> paging.Page[shapes.Tag]:
    asked = paging.limits(request)
    found = await call.services.identity.tags.get(kind, call.account, name)
    tags = [shapes.Tag(key=key, value=found[key]) for key in sorted(found, key=str.lower)]
    return paging.page_of(asked, tags, lambda tag: tag.key.lower(), lambda tag: tag)
