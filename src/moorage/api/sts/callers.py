"""Who calls, and temporary credentials for the caller: GetCallerIdentity, GetSessionToken, GetAccessKeyInfo."""

from collections.abc import Mapping
from typing import Final

from moorage.api.authorization import AUTHENTICATED
from moorage.api.aws.query import Parameters, Value
from moorage.api.sts import fields, session_response
from moorage.api.sts.service import STS, StsCall, no_resource
from moorage.errors import AccessDenied, QueryError

_DEFAULT: Final = 43_200
_MOST: Final = 129_600
_ROOT_MOST: Final = 3_600


@STS.operation("GetCallerIdentity", action=AUTHENTICATED)
async def get_caller_identity(call: StsCall, _request: Parameters) -> Mapping[str, Value]:
    """AWS lets every caller ask this, even under an explicit deny."""
    principal = call.caller.principal
    return {"Arn": principal.arn, "UserId": principal.id, "Account": principal.account}


@STS.operation("GetSessionToken", action=AUTHENTICATED)
async def get_session_token(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    """Credentials of the caller that end; for the root after an hour at most. A session may not make another."""
    caller = call.caller
    if caller.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    if request.get("SerialNumber") is not None or request.get("TokenCode") is not None:
        raise QueryError("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", 403)
    seconds = fields.seconds(request, _DEFAULT, _MOST)
    if caller.principal.kind == "root":
        seconds = min(seconds, _ROOT_MOST)
    user_id = caller.principal.id if caller.principal.kind == "user" else None
    session = await call.services.identity.sessions.create(call.account, user_id, seconds, by=caller.principal.arn)
    return {"Credentials": session_response.credentials(session)}


@STS.operation("GetAccessKeyInfo", action="sts:GetAccessKeyInfo", resource=no_resource)
async def get_access_key_info(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    """Whose a key is. [guess] AWS reads the account out of the id; a key that is unknown here is of no account."""
    key_id = fields.key_id(request)
    account = await call.services.identity.keys.account_of(key_id)
    if account is None:
        raise QueryError("ValidationError", f"The access key {key_id} is not known here.")
    return {"Account": account}
