"""OpenID Connect issuers whose tokens STS accepts: configured in a file, whose keys are read from a file or a URL.

A token is accepted when one of its issuer's keys signed it (RS256, ES256 or a longer variant), for one of the
audiences that the issuer is configured with, and it is valid now. Its claims become condition keys
`<issuer without https://>:<claim>` (IAM user guide, keys for OIDC federation).
"""

import asyncio
import http.client
import re
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity.credentials.claims import Keys, condition_keys, read_claims, read_text, read_time
from moorage.settings import SettingError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
"""Asymmetric ones only: a public key must never be used as a shared secret."""
KEYS_SECONDS: Final = 600.0
"""How long fetched keys are used."""
RETRY_SECONDS: Final = 10.0
"""Keys are not fetched more often, however many unknown key ids are seen."""
SKEW_SECONDS: Final = 300.0
"""How far in the future a token may have been issued."""

_FETCH_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 200
_SERVICE_NAME: Final = re.compile(r"[a-z0-9-]+", re.IGNORECASE)
_DISCOVERY: Final = "/.well-known/openid-configuration"


class Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer, as the file describes it."""

    issuer: str
    """Exactly the `iss` of its tokens, e.g. `https://token.actions.githubusercontent.com`."""
    audiences: tuple[str, ...]
    """The accepted values of `aud`."""
    jwks: str | None = None
    """Path or URL of its keys (JWK set); looked up at the issuer (OpenID Connect discovery) when not given."""

    @property
    def name(self) -> str:
        """The issuer without its scheme, as provider ARNs and condition keys have it."""
        return self.issuer.partition("://")[2].rstrip("/")


class WebIdentity(msgspec.Struct, frozen=True):
    """A verified token."""

    issuer: Issuer
    subject: str
    audience: str
    claims: dict[str, Any]
    """All claims, as the token contains them."""
    keys: Keys
    """The claims as condition keys (`condition_keys`)."""


def read_issuers(path: Path) -> list[Issuer]:
    """Return the issuers that the JSON file lists. Raises SettingError when it cannot be read or is not valid."""
    try:
        issuers = msgspec.json.decode(path.read_bytes(), type=list[Issuer])
    except (OSError, msgspec.DecodeError) as error:
        raise SettingError(f"oidc_issuers: {path} cannot be used: {error}") from error
    for number, one in enumerate(issuers):
        _check_issuer(one)
        for other in issuers[:number]:
            _check_apart(one, other)
    return issuers


def _check_issuer(one: Issuer) -> None:
    parts = urlsplit(one.issuer)
    if parts.scheme not in {"http", "https"} or not one.name:
        raise SettingError(f"oidc_issuers: {one.issuer!r} is not the URL of an issuer")
    if "@" in parts.netloc or "?" in one.issuer or "#" in one.issuer or re.search(r"\s", one.issuer):
        raise SettingError(f"oidc_issuers: {one.issuer!r} may have a host, a port and a path, and nothing else")
    if _SERVICE_NAME.fullmatch(one.name):
        # `aws:…`, `ecr:…`: claims would be mistaken for condition keys that the server itself sets.
        raise SettingError(
            f"oidc_issuers: claims of {one.issuer} would be condition keys of a service ({one.name}:…). "
            "Use a host name with a domain, a port or a path"
        )
    if not one.audiences:
        raise SettingError(f"oidc_issuers: {one.issuer} needs at least one audience")


def _check_apart(one: Issuer, other: Issuer) -> None:
    """No claim of one issuer may have the condition key of a claim of the other."""
    first, second = f"{one.name}:".lower(), f"{other.name}:".lower()
    if first.startswith(second) or second.startswith(first):
        raise SettingError(f"oidc_issuers: the claims of {one.issuer} and {other.issuer} would have the same names")


class _Tokens(jwt.PyJWT):
    """PyJWT, with the claims read by `read_claims`."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        try:
            return read_claims(decoded["payload"])
        except ValueError as error:
            raise jwt.DecodeError(str(error)) from error


_TOKENS: Final = _Tokens()


class Issuers:
    """Verifies tokens. Errors are STS's: InvalidIdentityToken, ExpiredTokenException, IDPCommunicationError."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._issuers = {one.issuer: _Keys(one, clock) for one in issuers}
        self._clock = clock

    async def verify(self, token: str) -> WebIdentity:
        """Return the verified identity of `token`."""
        try:
            header = jwt.get_unverified_header(token)
            issuer = _TOKENS.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _invalid(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
            ) from error
        keys = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if keys is None:
            raise _invalid(f"No OpenIDConnect provider found in your account for {str(issuer)[:_SHOWN_CHARACTERS]}")
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise _invalid("The ID Token is not signed with an algorithm that is accepted")
        key = await keys.find(header.get("kid"), algorithm)
        if key is None:
            raise _invalid("Couldn't retrieve verification key from your identity provider")
        return self._checked(token, key, keys.issuer)

    def _checked(self, token: str, key: jwt.PyJWK, issuer: Issuer) -> WebIdentity:
        try:
            claims: dict[str, Any] = _TOKENS.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=issuer.issuer,
                audience=issuer.audiences,
                # The times are compared with the server's own clock, below.
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError as error:
            raise _invalid("Incorrect token audience") from error
        except jwt.PyJWTError as error:
            raise _invalid(f"The ID Token is not valid: {error}") from error
        try:
            self._check_times(claims)
            subject, audience = read_text(claims, "sub"), _audience(claims, issuer)
            return WebIdentity(issuer, subject, audience, claims, condition_keys(issuer.name, claims, audience))
        except ValueError as error:
            raise _invalid(f"The ID Token is not valid: {str(error)[:_SHOWN_CHARACTERS]}") from error

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now()
        expires_at, issued_at = read_time(claims, "exp"), read_time(claims, "iat")
        begins_at = read_time(claims, "nbf") if "nbf" in claims else issued_at
        if expires_at <= now:
            times = f"current date/time {int(now)} must be before the expiration date/time {int(expires_at)}"
            raise QueryError("ExpiredTokenException", f"Token expired: {times}")
        if max(issued_at, begins_at) > now + SKEW_SECONDS:
            raise _invalid("The ID Token is not valid yet")


class _Keys:
    """An issuer's keys, read again when their file changes, after `KEYS_SECONDS`, or for an unknown key id."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._read_at = float("-inf")
        self._changed_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, kid: object, algorithm: str) -> jwt.PyJWK | None:
        """Return the key of that id and algorithm; without an id the only key there is. Raises QueryError when the keys
        cannot be read."""
        async with self._lock:
            if self._is_stale():
                await self._read()
            found = self._find(kid, algorithm)
            if found is None and self._clock.now() - self._read_at >= RETRY_SECONDS:
                await self._read()
                found = self._find(kid, algorithm)
            return found

    def _is_stale(self) -> bool:
        if (path := self._path()) is not None:
            return self._changed_at is None or _changed_at(path) != self._changed_at
        return self._clock.now() - self._read_at >= KEYS_SECONDS

    def _find(self, kid: object, algorithm: str) -> jwt.PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        # RFC 7517 section 4.5: keys of different types may share an id.
        return next((key for key in self._keys if (key.key_id, key.algorithm_name) == (kid, algorithm)), None)

    def _path(self) -> Path | None:
        where = self.issuer.jwks
        if where is None or urlsplit(where).scheme in {"http", "https"}:
            return None
        return Path(where.removeprefix("file://"))

    async def _read(self) -> None:
        self._read_at = self._clock.now()
        path = self._path()
        try:
            if path is not None:
                self._changed_at = _changed_at(path)
                text = path.read_bytes()
            else:
                text = await asyncio.to_thread(self._fetch)
            self._keys = [key for key in jwt.PyJWKSet.from_json(text.decode()).keys if _verifies(key)]
        except (OSError, ValueError, RecursionError, jwt.PyJWTError, http.client.HTTPException) as error:
            raise QueryError(
                "IDPCommunicationError", f"The keys of {self.issuer.issuer} could not be read: {error}"
            ) from error

    def _fetch(self) -> bytes:
        issuer = self.issuer.issuer
        where = self.issuer.jwks
        if where is None:
            found = msgspec.json.decode(_get(issuer.rstrip("/") + _DISCOVERY), type=dict[str, Any])
            if found.get("issuer") != issuer:  # OpenID Connect Discovery section 4.3
                raise ValueError(f"the document there belongs to another issuer, {str(found.get('issuer'))[:200]}")
            where = str(found.get("jwks_uri"))
            if issuer.startswith("https:") and not where.startswith("https:"):
                raise ValueError(f"{where[:200]} is not protected by TLS")
        return _get(where)


def _verifies(key: jwt.PyJWK) -> bool:
    """Is this the public key of signatures? A key for encryption, or a shared secret, verifies none."""
    return key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}


class RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follows redirects to web addresses, but never from TLS to plain HTTP."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (scheme, req.type) != ("http", "http"):
            raise ValueError(f"{req.full_url} redirects to {newurl[:200]}, which is not protected by TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_WEB: Final = urllib.request.build_opener(RedirectHandler)


def _get(url: str) -> bytes:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{url} is not a web address")
    with _WEB.open(url, timeout=_FETCH_SECONDS) as answer:
        body: bytes = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"{url} answers more than {_MOST_BYTES} bytes")
    return body


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _audience(claims: Mapping[str, Any], issuer: Issuer) -> str:
    """Return `azp` where the token has it (IAM user guide), else the audience that was asked for."""
    if "azp" in claims:
        return read_text(claims, "azp")
    audience = claims["aud"]
    return audience if isinstance(audience, str) else next(each for each in audience if each in issuer.audiences)


def _invalid(message: str) -> QueryError:
    return QueryError("InvalidIdentityToken", message)
