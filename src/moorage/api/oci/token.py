"""/v2/token: a short-lived Bearer token in exchange for a password or for nothing (the distribution token
specification).

Clients without a password stop at a 401 that asks for Basic, so anonymous pulls need tokens; clients with a password
use them too. A token names its caller and carries no permissions: every request with it is decided anew.
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from moorage.access.authenticate import USER, Authenticator, basic
from moorage.access.caller import Connection
from moorage.api.asgi import Headers, Receive, Scope, content_length, read_body
from moorage.api.oci.errors import Unsupported
from moorage.clock import Clock
from moorage.errors import AuthorizationTokenInvalid, InvalidParameter, Throttling

PATH: Final = "/v2/token"
BODY_LIMIT: Final = 1 << 14
"""Bytes of a form that contains a password."""
PER_SECOND: Final = 100
"""Tokens that one worker issues to one address in a second."""
_ADDRESSES: Final = 4096


class Tokens:
    """The token endpoint. It exists only while the setting `anonymous_pull` is on."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._second = 0
        self._asked: dict[str, int] = {}

    async def answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], connection: Connection
    ) -> tuple[Headers, bytes]:
        """Return the headers and body of the response. Raise AuthorizationTokenInvalid, AuthorizationTokenExpired or
        InvalidParameter.

        GET: with the password as Basic credentials, or without. POST: OAuth2's `password` and `refresh_token`, where a
        refresh token is a registry password or a pull token, which clients store as an identity token.
        """
        if scope["method"] not in {"GET", "POST"}:
            raise Unsupported("GET, POST")
        self._count(connection.source_ip)
        refresh = None
        if scope["method"] == "GET":
            given = headers.get(b"authorization")
            authorization = None if given is None else given.decode("latin-1")
        else:
            authorization, refresh = _of_form(await _form(receive, headers))
        token, expires_at = await self._authenticator.issue_bearer(authorization)
        now = self._clock.now()
        told: dict[str, Any] = {"token": token, "access_token": token, "expires_in": int(expires_at - now)}
        told["issued_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        if refresh is not None:
            told["refresh_token"] = refresh
        return [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"cache-control", b"no-store"),
        ], msgspec.json.encode(told)

    def _count(self, address: str) -> None:
        """Raise Throttling beyond `PER_SECOND`. Only the current second is counted, and the count is bounded."""
        second = int(self._clock.now())
        if second != self._second or len(self._asked) >= _ADDRESSES:
            self._second, self._asked = second, {}
        asked = self._asked[address] = self._asked.get(address, 0) + 1
        if asked > PER_SECOND:
            raise Throttling


def _of_form(form: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the form's credentials as a Basic header would have them, and the refresh token if that is what it
    contains."""
    kind = form.get("grant_type", "")
    if kind == "password":
        user, password = form.get("username", ""), form.get("password", "")
        if ":" in user:  # it could not be a Basic user name either
            raise AuthorizationTokenInvalid
        return basic(user, password), None
    if kind == "refresh_token":
        given = form.get("refresh_token", "")
        return basic(USER, given), given
    raise InvalidParameter("grant_type must be password or refresh_token")


async def _form(receive: Receive, headers: dict[bytes, bytes]) -> dict[str, str]:
    """Return the fields of an `application/x-www-form-urlencoded` body. Raise RequestTooLarge or InvalidParameter."""
    try:
        length = content_length(headers)
        body = await read_body(receive, length, BODY_LIMIT)
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32))
    except ValueError as error:
        raise InvalidParameter("the body is no form") from error
