"""Access keys: Create-, List-, Update-, DeleteAccessKey, GetAccessKeyLastUsed. UserName defaults to the caller."""

from collections.abc import Sequence
from typing import Any

from moorage.api.authorization import Target
from moorage.api.aws.xml import timestamp
from moorage.api.iam import paging, shapes
from moorage.api.iam.parameters import is_active
from moorage.api.iam.service import IamCall, by, concealed, in_account, owner
from moorage.errors import AccessDenied
from moorage.identity.arns import identity_arn
from moorage.identity.credentials.access_keys import AccessKey
from moorage.identity.principals.entity import USER


async def create_access_key(call: IamCall, request: shapes.CreateAccessKeyRequest) -> shapes.CreateAccessKeyResponse:
    """Return the key with its secret, which no other response has."""
    key, secret = await call.services.identity.keys.create(call.account, owner(call, request), by=by(call))
    return shapes.CreateAccessKeyResponse(
        access_key=shapes.AccessKey(
            user_name=_user_name(key),
            access_key_id=key.id,
            status=_status(key),
            secret_access_key=secret,
            create_date=timestamp(key.created_at),
        )
    )


async def list_access_keys(call: IamCall, request: shapes.ListAccessKeysRequest) -> shapes.ListAccessKeysResponse:
    most, after = paging.limits(request)
    keys = await call.services.identity.keys.list(call.account, owner(call, request))
    ids = [key.id for key in keys]
    rest = keys[ids.index(after) + 1 :] if after in ids else keys
    page = paging.page(rest, most, lambda key: key.id, _metadata)
    return shapes.ListAccessKeysResponse(
        access_key_metadata=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


async def update_access_key(call: IamCall, request: shapes.UpdateAccessKeyRequest) -> None:
    active, keys = is_active(request.status), call.services.identity.keys
    await keys.set_active(call.account, owner(call, request), request.access_key_id, active, by=by(call))


async def delete_access_key(call: IamCall, request: shapes.DeleteAccessKeyRequest) -> None:
    keys = call.services.identity.keys
    await keys.delete(call.account, owner(call, request), request.access_key_id, by=by(call))


async def the_user_of_the_key(call: IamCall, request: shapes.GetAccessKeyLastUsedRequest) -> Sequence[Target]:
    """Return the key's user. A caller without the permission is denied on any user, whether the key exists or not."""
    anybody = identity_arn(USER.name, call.account, "/", "*")
    use = await call.services.identity.keys.last_use(request.access_key_id)
    if use is None or use.account != call.account:
        return in_account(call, anybody)
    if use.user_name is None:
        return concealed(call, anybody, "*")
    user = await call.services.identity.users.get(call.account, use.user_name)
    return concealed(call, anybody, user.arn)


async def get_access_key_last_used(
    call: IamCall, request: shapes.GetAccessKeyLastUsedRequest
) -> shapes.GetAccessKeyLastUsedResponse:
    """Return the last use, up to a minute late.

    Raises AccessDenied for a key of another account and for one that does not exist [recall: the model has no error].
    """
    use = await call.services.identity.keys.last_use(request.access_key_id)
    if use is None or use.account != call.account:
        raise AccessDenied(f"{call.caller.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed")
    last = shapes.AccessKeyLastUsed(region="N/A", service_name="N/A")
    if use.used is not None:
        last = shapes.AccessKeyLastUsed(
            last_used_date=timestamp(use.used.at), region=use.used.region, service_name=use.used.service
        )
    return shapes.GetAccessKeyLastUsedResponse(user_name=use.user_name, access_key_last_used=last)


def _metadata(key: AccessKey) -> shapes.AccessKeyMetadata:
    return shapes.AccessKeyMetadata(
        user_name=key.user_name, access_key_id=key.id, status=_status(key), create_date=timestamp(key.created_at)
    )


def _status(key: AccessKey) -> str:
    return "Active" if key.active else "Inactive"


def _user_name(key: AccessKey) -> Any:
    """Return the name of the key's user; None for a key of the root, of which IAM returns none."""
    return key.user_name
