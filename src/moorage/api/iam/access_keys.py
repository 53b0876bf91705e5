"""Access keys: CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey. UserName defaults to the caller."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value, instant
from moorage.api.iam import fields, paging
from moorage.api.iam.service import IAM, IamCall, owner, the_owner
from moorage.identity.keys import AccessKey


@IAM.operation("CreateAccessKey", action="iam:CreateAccessKey", resource=the_owner)
async def create_access_key(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The only answer that ever holds the secret."""
    key, secret = await call.services.identity.keys.create(call.account, owner(call, request))
    return {"AccessKey": {**shown(key), "SecretAccessKey": secret}}


@IAM.operation("ListAccessKeys", action="iam:ListAccessKeys", resource=the_owner)
async def list_access_keys(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, after = paging.limit(request), paging.after(request)
    keys = await call.services.identity.keys.list(call.account, owner(call, request))
    ids = [key.id for key in keys]
    rest = keys[ids.index(after) + 1 :] if after in ids else keys
    return paging.page("AccessKeyMetadata", rest, most, lambda key: key.id, shown)


@IAM.operation("UpdateAccessKey", action="iam:UpdateAccessKey", resource=the_owner)
async def update_access_key(call: IamCall, request: Parameters) -> None:
    active = fields.active(request)
    keys = call.services.identity.keys
    await keys.set_active(call.account, owner(call, request), fields.key_id(request), active)


@IAM.operation("DeleteAccessKey", action="iam:DeleteAccessKey", resource=the_owner)
async def delete_access_key(call: IamCall, request: Parameters) -> None:
    await call.services.identity.keys.delete(call.account, owner(call, request), fields.key_id(request))


def shown(key: AccessKey) -> dict[str, Value]:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": instant(key.created_at),
    }
