"""What a registry password is valid for: its owner and expiry, and which server this is."""

from starlette.responses import JSONResponse, Response

from moorage import __version__
from moorage.api.admin.operation import Call


async def password(call: Call, _request: None) -> Response:
    """The call is not signed: the password itself authenticates the caller."""
    services = call.services
    status = await services.authenticator.password_status(call.http.headers.get("authorization", ""))
    arn = None if status.caller is None else status.caller.principal.arn
    return JSONResponse(
        {
            "state": status.state,
            "arn": arn,
            "keyId": status.key_id,
            "expiresAt": status.expires_at,
            "version": __version__,
            "mode": services.settings.mode,
        }
    )
