"""OpenID Connect issuers whose tokens STS takes: configured in a file, their keys read from a file or a URL.

A token is good when one of its issuer's keys signed it (RS256, ES256 and their longer kin), for one of the audiences
that the issuer is configured with, and now lies within its time. What it claims becomes condition keys
`<issuer without https://>:<claim>` (IAM user guide, keys for OIDC federation).
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.settings import SettingError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
"""Asymmetric ones only: a public key must never be taken for a shared secret."""
KEYS_SECONDS: Final = 600.0
"""How long fetched keys are good."""
RETRY_SECONDS: Final = 10.0
"""Keys are not fetched more often, however many unknown key ids are seen."""
SKEW_SECONDS: Final = 300.0
"""How far in the future a token may have been issued."""

_FETCH_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1 << 20
_MOST_CLAIMS: Final = 100
_MOST_CHARACTERS: Final = 2048
_DISCOVERY: Final = "/.well-known/openid-configuration"


class Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer, as the file says it."""

    issuer: str
    """Exactly what its tokens say in `iss`, e.g. `https://token.actions.githubusercontent.com`."""
    audiences: tuple[str, ...]
    """What its tokens may say in `aud`."""
    jwks: str | None = None
    """Path or URL of its keys (JWK set); looked up at the issuer (OpenID Connect discovery) when not given."""

    @property
    def name(self) -> str:
        """The issuer without its scheme, as provider ARNs and condition keys have it."""
        return self.issuer.partition("://")[2].rstrip("/")


class WebIdentity(msgspec.Struct, frozen=True):
    """A token that was found good."""

    issuer: Issuer
    subject: str
    audience: str
    claims: dict[str, Any]
    """All of them, as they stand in the token."""

    def conditions(self) -> dict[str, str | tuple[str, ...]]:
        """The claims as condition keys, in lower case; what is no text, number, truth value or list of texts is not."""
        found: dict[str, str | tuple[str, ...]] = {}
        _flatten(self.issuer.name.lower() + ":", self.claims, found)
        found[f"{self.issuer.name.lower()}:aud"] = self.audience
        return found


def read_issuers(path: Path) -> list[Issuer]:
    """The issuers that the JSON file lists. SettingError when it cannot be read or says something wrong."""
    try:
        issuers = msgspec.json.decode(path.read_bytes(), type=list[Issuer])
    except (OSError, msgspec.DecodeError) as error:
        raise SettingError(f"oidc_issuers: {path} cannot be used: {error}") from error
    for one in issuers:
        if urlsplit(one.issuer).scheme not in {"http", "https"} or not one.name:
            raise SettingError(f"oidc_issuers: {one.issuer!r} is not the URL of an issuer")
        if not one.audiences:
            raise SettingError(f"oidc_issuers: {one.issuer} needs at least one audience")
    return issuers


class Issuers:
    """Verifies tokens. Errors are STS's: InvalidIdentityToken, ExpiredTokenException, IDPCommunicationError."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._issuers = {one.issuer: _Keys(one, clock) for one in issuers}
        self._clock = clock

    async def verify(self, token: str) -> WebIdentity:
        """Who `token` stands for."""
        try:
            header = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError as error:
            raise _invalid(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
            ) from error
        keys = self._issuers.get(said) if isinstance(said, str) else None
        if keys is None:
            raise _invalid(f"No OpenIDConnect provider found in your account for {str(said)[:_MOST_CHARACTERS]}")
        if header.get("alg") not in ALGORITHMS:
            raise _invalid("The ID Token is not signed with an algorithm that is taken")
        key = await keys.named(header.get("kid"))
        if key is None:
            raise _invalid("Couldn't retrieve verification key from your identity provider")
        return self._checked(token, key, keys.issuer)

    def _checked(self, token: str, key: jwt.PyJWK, issuer: Issuer) -> WebIdentity:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=issuer.issuer,
                audience=issuer.audiences,
                # The times are held against our own clock, below.
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
            raise _invalid(f"The ID Token is not good: {error}") from error
        self._check_times(claims)
        return WebIdentity(issuer, str(claims["sub"]), _audience(claims, issuer), claims)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now()
        expires_at, issued_at, begins_at = (claims.get(name) for name in ("exp", "iat", "nbf"))
        if not _is_time(expires_at) or not _is_time(issued_at) or not (begins_at is None or _is_time(begins_at)):
            raise _invalid("The ID Token's times cannot be read")
        assert expires_at is not None and issued_at is not None  # noqa: S101, PT018 - `_is_time` says so
        if expires_at <= now:
            times = f"current date/time {int(now)} must be before the expiration date/time {int(expires_at)}"
            raise QueryError("ExpiredTokenException", f"Token expired: {times}")
        if issued_at > now + SKEW_SECONDS or (begins_at is not None and begins_at > now + SKEW_SECONDS):
            raise _invalid("The ID Token is not valid yet")


class _Keys:
    """An issuer's keys: read again when the file changed, or after a while, or for a key id not seen before."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._read_at = float("-inf")
        self._changed_at: float | None = None
        self._lock = asyncio.Lock()

    async def named(self, kid: object) -> jwt.PyJWK | None:
        """The key of that id; without an id the only key there is. QueryError when the keys cannot be had."""
        async with self._lock:
            if self._is_stale():
                await self._read()
            found = self._find(kid)
            if found is None and self._clock.now() - self._read_at >= RETRY_SECONDS:
                await self._read()
                found = self._find(kid)
            return found

    def _is_stale(self) -> bool:
        if (path := self._path()) is not None:
            return self._changed_at is None or _changed_at(path) != self._changed_at
        return self._clock.now() - self._read_at >= KEYS_SECONDS

    def _find(self, kid: object) -> jwt.PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)

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
            self._keys = [key for key in jwt.PyJWKSet.from_json(text.decode()).keys if key.key_type in {"RSA", "EC"}]
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise QueryError(
                "IDPCommunicationError", f"The keys of {self.issuer.issuer} could not be read: {error}"
            ) from error

    def _fetch(self) -> bytes:
        where = self.issuer.jwks
        if where is None:
            found = msgspec.json.decode(_get(self.issuer.issuer.rstrip("/") + _DISCOVERY), type=dict[str, Any])
            where = str(found.get("jwks_uri"))
        return _get(where)


def _get(url: str) -> bytes:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{url} is no web address")
    with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - the scheme was looked at
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
    """`azp` where the token has it (IAM user guide), else the audience that was asked for."""
    if isinstance(claims.get("azp"), str):
        return str(claims["azp"])
    said = claims["aud"]
    return said if isinstance(said, str) else next(each for each in said if each in issuer.audiences)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flatten(prefix: str, claims: Mapping[str, Any], found: dict[str, str | tuple[str, ...]], depth: int = 0) -> None:
    """Nested claims (Kubernetes's) become `kubernetes.io/serviceaccount/name`."""
    for name, value in claims.items():
        if len(found) >= _MOST_CLAIMS:
            return
        key = prefix + name.lower()
        if isinstance(value, bool):
            found[key] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            found[key] = str(value)[:_MOST_CHARACTERS]
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            found[key] = tuple(each[:_MOST_CHARACTERS] for each in value[:_MOST_CLAIMS])
        elif isinstance(value, dict) and depth < 3:
            _flatten(key + "/", value, found, depth + 1)


def _invalid(message: str) -> QueryError:
    return QueryError("InvalidIdentityToken", message)
