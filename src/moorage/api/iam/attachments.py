"""Managed policies on users, groups and roles: Attach-, Detach…Policy, ListAttached…Policies, ListEntitiesForPolicy."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging, shown
from moorage.api.iam.service import IAM, IamCall, about, about_policy, by, name_of, the, the_policy
from moorage.identity.entity import GROUP, KINDS, ROLE, USER, Entity, Kind

_FILTERS: Final = ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")
USAGES: Final = ("PermissionsPolicy", "PermissionsBoundary")


def _operations(kind: Kind) -> None:
    """Register the three operations of one kind of owner."""
    title = kind.title
    changed, seen = about(kind, boundary=True, policy=True), about(kind)

    @IAM.operation(f"Attach{title}Policy", action=f"iam:Attach{title}Policy", resource=the(kind), conditions=changed)
    async def attach_policy(call: IamCall, request: Parameters) -> None:
        name, arn = name_of(kind, request), fields.arn(request)
        await call.services.identity.attachments.attach(kind, call.account, name, arn, by(call))

    @IAM.operation(f"Detach{title}Policy", action=f"iam:Detach{title}Policy", resource=the(kind), conditions=changed)
    async def detach_policy(call: IamCall, request: Parameters) -> None:
        name, arn = name_of(kind, request), fields.arn(request)
        await call.services.identity.attachments.detach(kind, call.account, name, arn, by(call))

    listing = f"ListAttached{title}Policies"

    @IAM.operation(listing, action=f"iam:{listing}", resource=the(kind), conditions=seen)
    async def list_attached(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        name, prefix = name_of(kind, request), fields.path_prefix(request)
        asked = paging.Asked.by(request)
        found = await call.services.identity.attachments.of(kind, call.account, name)
        under = sorted((each for each in found if each.path.startswith(prefix)), key=lambda each: each.arn)
        return asked.of("AttachedPolicies", under, lambda each: each.arn, shown.attached)


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
    found = await call.services.identity.attachments.entities(call.account, arn)
    entities = {
        _position(each): each
        for each in [
            *(found.attached if usage != "PermissionsBoundary" else ()),
            *(found.bounded if usage != "PermissionsPolicy" else ()),
        ]
        if each.path.startswith(prefix) and wanted in {None, KINDS[each.kind].title}
    }
    rest = [position for position in sorted(entities) if position > after]
    page = [entities[position] for position in rest[:most]]
    answer: dict[str, Value] = {
        "PolicyGroups": _shown(page, GROUP),
        "PolicyUsers": _shown(page, USER),
        "PolicyRoles": _shown(page, ROLE),
        "IsTruncated": len(rest) > most,
    }
    if len(rest) > most:
        answer["Marker"] = paging.marker(rest[most - 1])
    return answer


def _position(entity: Entity) -> str:
    return f"{entity.kind}/{entity.name.lower()}"


def _shown(entities: Sequence[Entity], kind: Kind) -> list[Value]:
    title = kind.title
    return [{f"{title}Name": each.name, f"{title}Id": each.id} for each in entities if each.kind == kind.name]
