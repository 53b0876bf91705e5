"""What a registry password is worth: who holds one may ask whose it is and when it ends, and which server this is."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage import __version__
from moorage.api.admin.service import AdminServices


def routes(services: AdminServices) -> list[Route]:
    async def password(request: Request) -> Response:
        services.connection(request)
        standing = await services.authenticator.standing(request.headers.get("authorization", ""))
        arn = None if standing.caller is None else standing.caller.principal.arn
        return JSONResponse(
            {
                "state": standing.state,
                "arn": arn,
                "keyId": standing.key_id,
                "expiresAt": standing.expires_at,
                "version": __version__,
                "mode": services.settings.mode,
            }
        )

    return [Route("/_moorage/password", password)]
