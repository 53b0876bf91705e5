"""Who calls, and temporary credentials for the caller: GetCallerIdentity, GetSessionToken."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.access.authorize import Resource
from moorage.api.aws.query import Parameters, Value, instant, invalid
from moorage.api.sts.service import STS, StsCall
from moorage.errors import AccessDenied, QueryError

_LEAST: Final = 900
_DEFAULT: Final = 43_200
_MOST: Final = 129_600
_ROOT_MOST: Final = 3_600


def _undecided(call: StsCall, request: Parameters) -> Sequence[Resource]:
    """Neither operation needs a permission: AWS lets every user call them, even under an explicit deny."""
    return ()


@STS.operation("GetCallerIdentity", action=None, resource=_undecided)
async def get_caller_identity(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    principal = call.caller.principal
    return {"Arn": principal.arn, "UserId": principal.id, "Account": principal.account}


@STS.operation("GetSessionToken", action=None, resource=_undecided)
async def get_session_token(call: StsCall, request: Parameters) -> Mapping[str, Value]:
    """Credentials of the caller that end. A session may not make another."""
    caller = call.caller
    if caller.credential == "session":
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    if request.get("SerialNumber") is not None or request.get("TokenCode") is not None:
        raise QueryError("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", 403)
    seconds = _duration(request, is_root=caller.principal.kind == "root")
    user_id = caller.principal.id if caller.principal.kind == "user" else None
    made = await call.services.identity.sessions.create(call.account, user_id, seconds)
    return {
        "Credentials": {
            "AccessKeyId": made.id,
            "SecretAccessKey": made.secret,
            "SessionToken": made.token,
            "Expiration": instant(made.expires_at),
        }
    }


def _duration(request: Parameters, *, is_root: bool) -> int:
    """Seconds: 12 hours unless said otherwise; for the root at most one (STS API reference)."""
    given = request.integer("DurationSeconds")
    if given is None:
        given = _DEFAULT
    if given < _LEAST:
        raise invalid("DurationSeconds", str(given), f"Member must have value greater than or equal to {_LEAST}")
    if given > _MOST:
        raise invalid("DurationSeconds", str(given), f"Member must have value less than or equal to {_MOST}")
    return min(given, _ROOT_MOST) if is_root else given
