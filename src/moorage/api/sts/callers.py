"""Who calls, and temporary credentials for the caller: GetCallerIdentity, GetSessionToken, GetAccessKeyInfo."""

from typing import Final

from moorage.api.sts import session_response, shapes
from moorage.api.sts.service import StsCall
from moorage.errors import AccessDenied, QueryError

_DEFAULT_SECONDS: Final = 43_200
_ROOT_MOST_SECONDS: Final = 3_600


async def get_caller_identity(
    call: StsCall, _request: shapes.GetCallerIdentityRequest
) -> shapes.GetCallerIdentityResponse:
    """AWS lets every caller ask this, even under an explicit deny."""
    principal = call.caller.principal
    return shapes.GetCallerIdentityResponse(user_id=principal.id, account=principal.account, arn=principal.arn)


async def get_session_token(call: StsCall, request: shapes.GetSessionTokenRequest) -> shapes.GetSessionTokenResponse:
    """Return temporary credentials of the caller, for the root for an hour at most. A session gets none."""
    caller = call.caller
    if caller.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    if request.serial_number is not None or request.token_code is not None:
        raise QueryError("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", 403)
    seconds = request.duration_seconds or _DEFAULT_SECONDS
    if caller.principal.kind == "root":
        seconds = min(seconds, _ROOT_MOST_SECONDS)
    user_id = caller.principal.id if caller.principal.kind == "user" else None
    session = await call.services.identity.sessions.create(call.account, user_id, seconds, by=caller.principal.arn)
    return shapes.GetSessionTokenResponse(credentials=session_response.credentials(session))


async def get_access_key_info(
    call: StsCall, request: shapes.GetAccessKeyInfoRequest
) -> shapes.GetAccessKeyInfoResponse:
    """Return the account of a key.

    [guess] AWS reads the account out of the id; here a key that is not known has no account.
    """
    account = await call.services.identity.keys.account_of(request.access_key_id)
    if account is None:
        raise QueryError("ValidationError", f"The access key {request.access_key_id} is not known here.")
    return shapes.GetAccessKeyInfoResponse(account=account)
