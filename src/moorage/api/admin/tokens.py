"""Pull tokens: made, listed, revoked. Like access keys, each belongs to a user or to the account's root."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moorage.access.authorize import NamedResource
from moorage.api.admin.service import AdminServices, Signed
from moorage.api.admin.trail import is_read
from moorage.errors import InvalidParameter
from moorage.identity import arns
from moorage.identity.pull_tokens import PULL, PUSH, PullToken

CREATE: Final = "moorage:CreatePullToken"
LIST: Final = "moorage:ListPullTokens"
REVOKE: Final = "moorage:RevokePullToken"


class CreateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made. Actions: those of `pull`, of `push`, and any named."""

    name: str
    repositories: list[str]
    expires_at: float
    """Seconds since the epoch."""
    user: str | None = None
    """Whose; the caller's own when not said."""
    pull: bool = False
    push: bool = False
    actions: list[str] = []


class ListRequest(msgspec.Struct, forbid_unknown_fields=True):
    user: str | None = None
    """Of this user alone."""
    ended: bool = False
    """Also those that were revoked or are over, while they are kept."""


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: str


def routes(services: AdminServices) -> list[Route]:
    tokens = services.identity.pull_tokens

    async def create(request: Request) -> Response:
        signed = await services.signed(request)
        asked = signed.decoded(CreateRequest)
        user = _whose(signed, asked.user)
        await require(signed, CREATE, await arn_of(signed, user))
        actions = dict.fromkeys([*(PULL if asked.pull else ()), *(PUSH if asked.push else ()), *asked.actions])
        token, secret = await tokens.create(
            signed.account, user, asked.name, asked.repositories, list(actions), asked.expires_at, signed.by
        )
        return JSONResponse({"token": _shown(token), "password": secret}, headers={"cache-control": "no-store"})

    async def listed(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        asked = signed.decoded(ListRequest)
        whose = arns.identity_arn("user", signed.account, "/", "*") if asked.user is None else None
        await require(signed, LIST, whose or await arn_of(signed, asked.user))
        found = await tokens.list(signed.account, asked.user, ended=asked.ended)
        return JSONResponse({"tokens": [_shown(each) for each in found], "now": services.clock.now()})

    async def revoke(request: Request) -> Response:
        signed = await services.signed(request)
        asked = signed.decoded(RevokeRequest)
        found = await tokens.find(signed.account, asked.name)
        await require(signed, REVOKE, found.owner)
        return JSONResponse({"token": _shown(await tokens.revoke(signed.account, asked.name, signed.by))})

    async def arn_of(signed: Signed, user: str | None) -> str:
        if user is None:
            return arns.root_arn(signed.account)
        return (await services.identity.users.get(signed.account, user)).arn

    async def require(signed: Signed, action: str, arn: str) -> None:
        await services.access.require(signed.caller, signed.connection, action, NamedResource(signed.account, arn))

    return [
        Route("/_moorage/tokens/create", create, methods=["POST"]),
        Route("/_moorage/tokens/list", listed, methods=["POST"]),
        Route("/_moorage/tokens/revoke", revoke, methods=["POST"]),
    ]


def _whose(signed: Signed, user: str | None) -> str | None:
    """Name of the user that the token is to belong to; None: the caller is the root, and it is its own."""
    principal = signed.caller.principal
    if user is not None:
        return user
    if principal.kind == "root":
        return None
    if principal.user_name is None:
        raise InvalidParameter("A session has no tokens of its own: say which user the token is for.")
    return principal.user_name


def _shown(token: PullToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "repositories": list(token.repositories),
        "actions": list(token.actions),
        "createdAt": token.created_at,
        "createdBy": token.created_by,
        "expiresAt": token.expires_at,
        "revokedAt": token.revoked_at,
        "lastUsedAt": token.last_used_at,
    }
