"""Tags of users, roles and managed policies: Tag-, Untag{User,Role,Policy}, List{User,Role,Policy}Tags."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging
from moorage.api.iam.service import (
    IAM,
    FindsConditions,
    FindsResource,
    IamCall,
    about,
    about_policy,
    by,
    name_of,
    the,
    the_policy,
)
from moorage.identity.principals.entity import KINDS, ROLE, USER


def _operations(kind: str, title: str, resource: FindsResource, conditions: FindsConditions) -> None:
    """Register the three operations of one kind of owner."""

    def name(request: Parameters) -> str:
        return fields.arn(request) if kind == "policy" else name_of(KINDS[kind], request)

    @IAM.operation(f"Tag{title}", action=f"iam:Tag{title}", resource=resource, conditions=conditions)
    async def tag(call: IamCall, request: Parameters) -> None:
        given = fields.tags(request)
        await call.services.identity.tags.set(kind, call.account, name(request), given, by(call))

    @IAM.operation(f"Untag{title}", action=f"iam:Untag{title}", resource=resource, conditions=conditions)
    async def untag(call: IamCall, request: Parameters) -> None:
        keys = fields.tag_keys(request)
        await call.services.identity.tags.remove(kind, call.account, name(request), keys, by(call))

    @IAM.operation(f"List{title}Tags", action=f"iam:List{title}Tags", resource=resource, conditions=conditions)
    async def list_tags(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        asked = paging.Asked.by(request)
        found = await call.services.identity.tags.get(kind, call.account, name(request))
        tags = sorted(found.items(), key=lambda tag: tag[0].lower())
        return asked.of("Tags", tags, lambda tag: tag[0].lower(), lambda tag: {"Key": tag[0], "Value": tag[1]})


for _kind in (USER, ROLE):
    _operations(_kind.name, _kind.title, the(_kind), about(_kind, tags=True))
_operations("policy", "Policy", the_policy, about_policy)
