"""Access keys: Create-, List-, Update-, DeleteAccessKey, GetAccessKeyLastUsed. UserName defaults to the caller."""

from collections.abc import Mapping, Sequence

from moorage.api.authorization import Target
from moorage.api.aws.query import Parameters, Value, instant
from moorage.api.iam import fields, paging
from moorage.api.iam.service import IAM, IamCall, about, by, concealed, in_account, owner, the_owner
from moorage.errors import AccessDenied
from moorage.identity.arns import identity_arn
from moorage.identity.credentials.access_keys import AccessKey
from moorage.identity.principals.entity import USER


@IAM.operation("CreateAccessKey", action="iam:CreateAccessKey", resource=the_owner, conditions=about(USER))
async def create_access_key(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The only answer that ever holds the secret."""
    key, secret = await call.services.identity.keys.create(call.account, owner(call, request), by=by(call))
    return {"AccessKey": {**shown(key), "SecretAccessKey": secret}}


@IAM.operation("ListAccessKeys", action="iam:ListAccessKeys", resource=the_owner, conditions=about(USER))
async def list_access_keys(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    most, after = paging.limit(request), paging.after(request)
    keys = await call.services.identity.keys.list(call.account, owner(call, request))
    ids = [key.id for key in keys]
    rest = keys[ids.index(after) + 1 :] if after in ids else keys
    return paging.page("AccessKeyMetadata", rest, most, lambda key: key.id, shown)


@IAM.operation("UpdateAccessKey", action="iam:UpdateAccessKey", resource=the_owner, conditions=about(USER))
async def update_access_key(call: IamCall, request: Parameters) -> None:
    active = fields.active(request)
    keys = call.services.identity.keys
    await keys.set_active(call.account, owner(call, request), fields.key_id(request), active, by=by(call))


@IAM.operation("DeleteAccessKey", action="iam:DeleteAccessKey", resource=the_owner, conditions=about(USER))
async def delete_access_key(call: IamCall, request: Parameters) -> None:
    user, key_id = owner(call, request), fields.key_id(request)
    await call.services.identity.keys.delete(call.account, user, key_id, by=by(call))


async def _the_user_of_the_key(call: IamCall, request: Parameters) -> Sequence[Target]:
    """A caller who may not know is denied on any user, whether the key exists or not."""
    anybody = identity_arn(USER.name, call.account, "/", "*")
    use = await call.services.identity.keys.last_use(fields.key_id(request))
    if use is None or use.account != call.account:
        return in_account(call, anybody)
    if use.user_name is None:
        return concealed(call, anybody, "*")
    user = await call.services.identity.users.get(call.account, use.user_name)
    return concealed(call, anybody, user.arn)


@IAM.operation("GetAccessKeyLastUsed", action="iam:GetAccessKeyLastUsed", resource=_the_user_of_the_key)
async def get_access_key_last_used(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Up to a minute late. A key of another account, or of none, is refused [recall: the model has no error]."""
    use = await call.services.identity.keys.last_use(fields.key_id(request))
    if use is None or use.account != call.account:
        raise AccessDenied(f"{call.caller.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed")
    last: dict[str, Value] = {"Region": "N/A", "ServiceName": "N/A"}
    if use.used is not None:
        last = {"LastUsedDate": instant(use.used.at), "Region": use.used.region, "ServiceName": use.used.service}
    return {"UserName": use.user_name, "AccessKeyLastUsed": last}


def shown(key: AccessKey) -> dict[str, Value]:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": instant(key.created_at),
    }
