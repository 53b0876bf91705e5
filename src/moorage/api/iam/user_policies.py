"""Inline policies of users: PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy."""

from collections.abc import Mapping
from urllib.parse import quote

from moorage import policy
from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging
from moorage.api.iam.service import IAM, IamCall, by, the_user
from moorage.errors import QueryError
from moorage.identity.entity import USER


@IAM.operation("PutUserPolicy", action="iam:PutUserPolicy", resource=the_user)
async def put_user_policy(call: IamCall, request: Parameters) -> None:
    """The document is kept as it was given. MalformedPolicyDocument when it is no identity policy."""
    user, name, text = fields.name(request, "UserName"), fields.name(request, "PolicyName"), fields.document(request)
    try:
        policy.parse(text, policy.Kind.IDENTITY)
    except policy.PolicyError as error:
        raise QueryError("MalformedPolicyDocument", f"{error.reason}, at {error.pointer or '/'}") from error
    await call.services.identity.inline.put(USER, call.account, user, name, text, by(call))


@IAM.operation("GetUserPolicy", action="iam:GetUserPolicy", resource=the_user)
async def get_user_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The document percent-encoded (RFC 3986), as IAM answers it."""
    name = fields.name(request, "PolicyName")
    inline = call.services.identity.inline
    user, text = await inline.text(USER, call.account, fields.name(request, "UserName"), name)
    return {"UserName": user, "PolicyName": name, "PolicyDocument": quote(text, safe="")}


@IAM.operation("ListUserPolicies", action="iam:ListUserPolicies", resource=the_user)
async def list_user_policies(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, after = paging.limit(request), paging.after(request)
    inline = call.services.identity.inline
    names = [each for each in await inline.names(USER, call.account, fields.name(request, "UserName")) if each > after]
    return paging.page("PolicyNames", names, most, str, str)


@IAM.operation("DeleteUserPolicy", action="iam:DeleteUserPolicy", resource=the_user)
async def delete_user_policy(call: IamCall, request: Parameters) -> None:
    user, name = fields.name(request, "UserName"), fields.name(request, "PolicyName")
    await call.services.identity.inline.delete(USER, call.account, user, name, by(call))
