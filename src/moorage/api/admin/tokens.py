"""Pull tokens: create, list and revoke. Like access keys, each belongs to a user or to the root of the account."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.access.resources import NamedResource
from moorage.api.admin.operation import Call
from moorage.api.authorization import Concealed, Target
from moorage.errors import InvalidParameter
from moorage.identity import arns
from moorage.identity.credentials.pull_tokens import PullToken, position_of
from moorage.pages import Room
from moorage.policy.catalog.actions import PULL_CLIENT, PUSH_CLIENT

CREATE: Final = "moorage:CreatePullToken"
LIST: Final = "moorage:ListPullTokens"
REVOKE: Final = "moorage:RevokePullToken"
_PAGE: Final = 500
"""Tokens in one response."""


class CreateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A token to create. Its actions: those of `pull`, of `push`, and any that are named."""

    name: str
    repositories: list[str]
    expires_at: float
    """Seconds since the epoch."""
    user: str | None = None
    """The owner; the caller if it is omitted."""
    pull: bool = False
    push: bool = False
    actions: list[str] = []


class ListRequest(msgspec.Struct, forbid_unknown_fields=True):
    user: str | None = None
    """List the tokens of this user only."""
    ended: bool = False
    """List also revoked and expired tokens, while they are kept."""
    after: str = ""
    """`next` of the previous page."""


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: str


# The owner's ARN would reveal that a token or a user exists, so a caller without permission is denied on the ARN of
# any.


def _anybody(call: Call) -> NamedResource:
    return NamedResource(call.account, arns.identity_arn("user", call.account, "/", "*"))


async def _the_owner(call: Call, user: str | None) -> Sequence[Target]:
    if user is None:
        return (NamedResource(call.account, arns.root_arn(call.account)),)
    asked = NamedResource(call.account, arns.identity_arn("user", call.account, "/", user))
    found = await call.services.identity.users.find(call.account, user)
    return (asked,) if found is None else (Concealed(asked, asked._replace(arn=found.arn)),)


async def new_owner(call: Call, request: CreateRequest) -> Sequence[Target]:
    return await _the_owner(call, _whose(call, request.user))


async def listed_owner(call: Call, request: ListRequest) -> Sequence[Target]:
    return (_anybody(call),) if request.user is None else await _the_owner(call, request.user)


async def owner_of_token(call: Call, request: RevokeRequest) -> Sequence[Target]:
    anybody = _anybody(call)
    found = await call.services.identity.pull_tokens.find(call.account, request.name)
    return (anybody,) if found is None else (Concealed(anybody, anybody._replace(arn=found.owner)),)


async def create(call: Call, request: CreateRequest) -> Response:
    actions = dict.fromkeys(
        [*(PULL_CLIENT if request.pull else ()), *(PUSH_CLIENT if request.push else ()), *request.actions]
    )
    token, secret = await call.services.identity.pull_tokens.create(
        call.account,
        _whose(call, request.user),
        request.name,
        request.repositories,
        list(actions),
        request.expires_at,
        call.by,
    )
    return JSONResponse({"token": _shown(token), "password": secret}, headers={"cache-control": "no-store"})


async def listed(call: Call, request: ListRequest) -> Response:
    """Return a page of tokens. Unless `next` is null, it is `after` of the next page."""
    services, room = call.services, Room(_PAGE)
    tokens: list[dict[str, Any]] = []
    following, last = None, ""
    found = services.identity.pull_tokens.each(call.account, request.user, ended=request.ended, after=request.after)
    async for each in found:
        shown = _shown(each)
        if not room.takes(len(msgspec.json.encode(shown))):
            following = last
            break
        tokens.append(shown)
        last = position_of(each)
    return JSONResponse({"tokens": tokens, "now": services.clock.now(), "next": following})


async def revoke(call: Call, request: RevokeRequest) -> Response:
    token = await call.services.identity.pull_tokens.revoke(call.account, request.name, call.by)
    return JSONResponse({"token": _shown(token)})


def _whose(call: Call, user: str | None) -> str | None:
    """Return the name of the user that will own the token; None if the caller is the root and owns it."""
    principal = call.caller.principal
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
