"""Inline policies of users, groups and roles: Put-, Get-, List- and Delete{User,Group,Role}Policy."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import documents, fields, paging
from moorage.api.iam.service import IAM, IamCall, about, by, name_of, the
from moorage.identity.principals.entity import KINDS, Kind


def _operations(kind: Kind) -> None:
    """Register the four operations of one kind of owner."""
    title = kind.title
    bounded, seen = about(kind, boundary=True), about(kind)

    @IAM.operation(f"Put{title}Policy", action=f"iam:Put{title}Policy", resource=the(kind), conditions=bounded)
    async def put_policy(call: IamCall, request: Parameters) -> None:
        """The document is kept as it was given. MalformedPolicyDocument when it is no identity policy."""
        owner, name, text = name_of(kind, request), fields.name(request, "PolicyName"), fields.document(request)
        inline = call.services.identity.inline
        await inline.put(kind, call.account, owner, name, documents.checked(text), by(call))

    @IAM.operation(f"Get{title}Policy", action=f"iam:Get{title}Policy", resource=the(kind), conditions=seen)
    async def get_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        owner, name = name_of(kind, request), fields.name(request, "PolicyName")
        owner, text = await call.services.identity.inline.text(kind, call.account, owner, name)
        return {f"{title}Name": owner, "PolicyName": name, "PolicyDocument": documents.shown(text)}

    @IAM.operation(f"List{title}Policies", action=f"iam:List{title}Policies", resource=the(kind), conditions=seen)
    async def list_policies(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        asked = paging.Asked.by(request)
        names = await call.services.identity.inline.names(kind, call.account, name_of(kind, request))
        return asked.of("PolicyNames", names, str, str)

    @IAM.operation(f"Delete{title}Policy", action=f"iam:Delete{title}Policy", resource=the(kind), conditions=bounded)
    async def delete_policy(call: IamCall, request: Parameters) -> None:
        owner, name = name_of(kind, request), fields.name(request, "PolicyName")
        await call.services.identity.inline.delete(kind, call.account, owner, name, by(call))


for _kind in KINDS.values():
    _operations(_kind)
