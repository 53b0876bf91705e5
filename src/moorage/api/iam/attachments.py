"""Managed policies on users, groups and roles: Attach-, Detach…Policy, ListAttached…Policies, ListEntitiesForPolicy."""

from collections.abc import Mapping
from typing import Final

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging, response_members
from moorage.api.iam.service import IAM, IamCall, about, about_policy, by, name_of, the, the_policy
from moorage.identity.policies.attachments import position_of
from moorage.identity.principals.entity import GROUP, KINDS, ROLE, USER, Kind

_FILTERS: Final = ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")
USAGES: Final = ("PermissionsPolicy", "PermissionsBoundary")
_MEMBERS: Final = {GROUP.name: "PolicyGroups", USER.name: "PolicyUsers", ROLE.name: "PolicyRoles"}


def _operations(kind: Kind) -> None:
    """Register the three operations of one kind of owner."""
    title = kind.title
    changed, seen = about(kind, boundary=True, policy=True), about(kind)

    @IAM.operation(f"Attach{title}Policy", action=f"iam:Attach{title}Policy", resource=the(kind), conditions=changed)
    async def attach_policy(call: IamCall, request: Parameters) -> None:
        name, arn = name_of(kind, request), fields.policy_arn(request)
        await call.services.identity.attachments.attach(kind, call.account, name, arn, by(call))

    @IAM.operation(f"Detach{title}Policy", action=f"iam:Detach{title}Policy", resource=the(kind), conditions=changed)
    async def detach_policy(call: IamCall, request: Parameters) -> None:
        name, arn = name_of(kind, request), fields.policy_arn(request)
        await call.services.identity.attachments.detach(kind, call.account, name, arn, by(call))

    listing = f"ListAttached{title}Policies"

    @IAM.operation(listing, action=f"iam:{listing}", resource=the(kind), conditions=seen)
    async def list_attached(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        name, prefix = name_of(kind, request), fields.path_prefix(request)
        asked = paging.Asked.by(request)
        found = await call.services.identity.attachments.of(kind, call.account, name)
        under = sorted((each for each in found if each.path.startswith(prefix)), key=lambda each: each.arn)
        return asked.of("AttachedPolicies", under, lambda each: each.arn, response_members.attached)


for _kind in KINDS.values():
    _operations(_kind)


@IAM.operation(
    "ListEntitiesForPolicy", action="iam:ListEntitiesForPolicy", resource=the_policy, conditions=about_policy
)
async def list_entities_for_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Groups, users and roles that have the policy attached or as their boundary, in pages over all three."""
    arn, prefix = fields.arn(request), fields.path_prefix(request)
    wanted, usage = (
        fields.choice(request, "EntityFilter", _FILTERS),
        fields.choice(request, "PolicyUsageFilter", USAGES),
    )
    most, after = paging.limit(request), paging.after(request)
    found = await call.services.identity.attachments.entities(
        call.account,
        arn,
        [each.name for each in KINDS.values() if wanted in {None, each.title}],
        path_prefix=prefix,
        attached=usage != "PermissionsBoundary",
        bounded=usage != "PermissionsPolicy",
        after=after,
        limit=most + 1,
    )
    page = paging.Page(most, *_MEMBERS.values())
    for each in found:
        title = KINDS[each.kind].title
        item = {f"{title}Name": each.name, f"{title}Id": each.id}
        if not page.takes(_MEMBERS[each.kind], item, position_of(each)):
            break
    return page.answer()
