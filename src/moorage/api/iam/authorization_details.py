"""GetAccountAuthorizationDetails: every user, group, role and policy of the account, with all they say, in pages."""

from collections.abc import Mapping
from typing import Final

from moorage.api.aws.query import Parameters, Value, instant, invalid
from moorage.api.iam import documents, paging, response_members
from moorage.api.iam.service import IAM, IamCall, nothing
from moorage.identity.principals.details import Details, InlinePolicy

_FILTERS: Final[Mapping[str, str]] = {
    "User": "user",
    "Role": "role",
    "Group": "group",
    "LocalManagedPolicy": "policy",
    "AWSManagedPolicy": "aws",
}


_MEMBERS: Final[Mapping[str, str]] = {
    "user": "UserDetailList",
    "group": "GroupDetailList",
    "role": "RoleDetailList",
    "policy": "Policies",
    "aws": "Policies",
}


@IAM.operation("GetAccountAuthorizationDetails", action="iam:GetAccountAuthorizationDetails", resource=nothing)
async def get_account_authorization_details(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Of AWS's policies those that are in use, unless the filter asks for all [recall]."""
    filters = request.members("Filter")
    for each in filters:
        if each not in _FILTERS:
            raise invalid("Filter", each, f"Member must satisfy enum value set: [{', '.join(_FILTERS)}]")
    wanted = {_FILTERS[each] for each in filters} or set(_FILTERS.values())
    most, after = paging.limit(request), paging.after(request)
    found, more = await call.services.identity.details.truncated_page(call.account, wanted, after=after, limit=most)
    page = paging.Page(most, *dict.fromkeys(_MEMBERS.values()))
    for details in found:
        item = _policy(details) if details.entity is None else await _entity(call, details)
        if not page.takes(_MEMBERS[details.kind], item, details.position):
            break
    return page.answer(more=more)


async def _entity(call: IamCall, details: Details) -> Value:
    entity = details.entity
    if entity is None:
        return None
    answer: dict[str, Value] = response_members.entity(entity)
    if details.role is not None:
        trust = await call.services.principals.shown(details.role.trust)
        answer["AssumeRolePolicyDocument"] = documents.shown(trust)
        answer["InstanceProfileList"] = []
        answer["RoleLastUsed"] = response_members.last_used(details.role)
    if entity.kind == "user":
        answer["GroupList"] = list(details.groups)
    answer[f"{entity.kind.title()}PolicyList"] = [_inline(each) for each in details.inline]
    answer["AttachedManagedPolicies"] = [response_members.attached(each) for each in details.attached]
    if entity.kind != "group":
        answer["PermissionsBoundary"] = response_members.boundary(details.boundary)
        answer["Tags"] = response_members.tags(details.tags)
    return answer


def _inline(held: InlinePolicy) -> Value:
    return {"PolicyName": held.name, "PolicyDocument": documents.shown(held.text)}


def _policy(details: Details) -> Value:
    policy = details.policy
    if policy is None:
        return None
    return {
        **response_members.policy(policy),
        "Description": policy.description or None,
        "PolicyVersionList": [
            {
                "Document": documents.shown(version.text),
                "VersionId": f"v{version.number}",
                "IsDefaultVersion": version.is_default,
                "CreateDate": instant(version.created_at),
            }
            for version in details.versions
        ],
    }
