"""Verifies AWS Signature Version 4 in the Authorization header or in the query (docs/development/policy-engine.md
§8.4).

There are two steps, so that no body is read for a request that is refused anyway: `begin` checks key, scope and clock
by the headers alone, and `finish` checks the signature over headers and body.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

import msgspec

from moorage.access.caller import Caller
from moorage.api.asgi import LONGEST_AUTHORIZATION, Scope
from moorage.api.aws.canonical_request import canonical_request
from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.errors import (
    ExpiredToken,
    IncompleteSignature,
    InvalidSignature,
    MissingAuthenticationToken,
    MoorageError,
    UnrecognizedClient,
)
from moorage.identity.credentials.credentials import Credential
from moorage.names import InvalidNameError, Region, region

ALGORITHM = "AWS4-HMAC-SHA256"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_HASH_INLINE = 1 << 18
"""Longest body, in bytes, that is hashed on the event loop; longer ones are hashed in a thread."""
_KEPT = 4 << 20
"""Bytes of each cache."""
_DERIVED = 2_000
"""Bytes of a signing key, its name and the HMAC that is initialized with it."""
_LONGEST_PRESIGNED = 604_800
_LONGEST_CREDENTIAL = 256
_LONGEST_KEPT = 512
"""Characters of the part of a header that is cached."""
UNSIGNED = "UNSIGNED-PAYLOAD"
_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_LAST = re.compile(r"\s*Signature=([0-9a-f]{64})\s*")
_MUST_BE_SIGNED = (b"x-amz-target", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256")
"""Headers that decide what a request means. They must be signed, or anybody could have added them."""


class Keys(Protocol):
    """What the verifier needs from `access`."""

    async def credential(self, key_id: str) -> Credential:
        """Return the access key or session with that id. Raise UnrecognizedClient if there is none."""
        ...

    async def caller_of(self, credential: Credential) -> Caller: ...

    def used(self, caller: Caller, service: str, region: str) -> None:
        """Called for every request whose signature is verified."""
        ...

    async def open_caller(self, key_id: str) -> Caller | None:
        """Return the principal of an unverified key in dev mode; None if keys of this form must be verified."""
        ...


class Signer(NamedTuple):
    """The part of an Authorization header that a client repeats all day: everything but the signature."""

    key_id: str
    date: str
    """The date of the scope, YYYYMMDD."""
    region: Region
    service: str
    signed_headers: str
    names: Mapping[bytes, str]
    """The names of the signed headers in order, by their names in the request."""


class Signed(NamedTuple):
    """The parts of a signature, from the Authorization header or the query. The first six are those of `Signer`."""

    key_id: str
    date: str
    region: Region
    service: str
    signed_headers: str
    names: Mapping[bytes, str]
    signature: str
    instant: str
    """The time of signing, YYYYMMDDTHHMMSSZ."""
    token: str | None
    expires: int | None
    """Seconds that a presigned request is valid; None if it is signed in its headers."""
    new: str
    """The part of the header to cache once the signature is verified; empty if it is not cached."""

    @property
    def signer(self) -> Signer:
        return Signer(*self[:6])


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A request with a known key and a valid scope and clock, whose signature is yet to be verified."""

    caller: Caller
    signed: Signed
    secret: bytes | None
    """None for an open key of dev mode, which is never verified."""
    canonical: str
    """The canonical request up to the hash of the payload."""
    payload: str | None
    """The header x-amz-content-sha256, if it was sent."""
    secure: bool


def scope_service(headers: dict[bytes, bytes], query_string: bytes) -> str | None:
    """Return the service that a request claims to be signed for. It is not verified, and used for routing only."""
    text = headers.get(b"authorization", b"")
    if text.startswith(b"AWS4-") and len(text) <= LONGEST_AUTHORIZATION:
        scope = _parts(text.decode("latin-1")).get("Credential", "")
    elif b"X-Amz-Credential=" in query_string:
        scope = dict(_query_pairs(query_string)).get("X-Amz-Credential", "")
    else:
        return None
    parts = scope.rsplit("/", 4)
    return parts[3] if len(parts) == 5 else None


class Verifier:
    """Verifies signatures made with the keys that `keys` knows. `skew`: how far a clock may be off, in seconds."""

    def __init__(self, keys: Keys, clock: Clock, skew: float) -> None:
        self._keys = keys
        self._clock = clock
        self._skew = skew
        # Both caches keep only what belongs to a verified signature, and so nothing that a stranger invented.
        self._derived: Cache[tuple[str, bytes, str, str, str], hmac.HMAC] = Cache(
            "signing_keys", _KEPT, lambda _name, _value: _DERIVED
        )
        self._signers: Cache[str, Signer] = Cache("signers", _KEPT, entry_footprint)

    async def begin(self, scope: Scope, headers: dict[bytes, bytes], service: str, *, host: str) -> Claim:
        """Check key, scope and clock.

        `headers`: by lower-case name. `service`: what the request must be signed for. `host`: the Host header as the
        client sent it, which a proxy may have changed since.
        """
        query: bytes = scope["query_string"]
        signed = self._read(headers, query)
        caller = await self._keys.open_caller(signed.key_id)
        secret = None
        if caller is None:
            credential = await self._keys.credential(signed.key_id)
            self._check_token(credential, signed.token)
            caller = await self._keys.caller_of(credential)
            secret = credential.secret
        if signed.service != service:
            raise InvalidSignature(f"Credential should be scoped to correct service: '{service}'. ")
        if secret is None:
            return Claim(caller, signed, None, "", None, False)
        self._check_clock(signed)
        _check_signed_headers(headers, signed)
        canonical = canonical_request(scope, signed.names, signed.signed_headers, host)
        payload = headers.get(b"x-amz-content-sha256")
        return Claim(
            caller,
            signed,
            secret,
            canonical,
            None if payload is None else payload.decode("latin-1"),
            scope.get("scheme") == "https",
        )

    async def finish(self, claim: Claim, body: bytes) -> Caller:
        """Check the signature over headers and body. Return the caller, or raise InvalidSignature."""
        if claim.secret is None or claim.payload == UNSIGNED:
            return self.finish_hashed(claim, "")
        if not body:
            return self.finish_hashed(claim, _EMPTY_HASH)
        if len(body) <= _HASH_INLINE:
            return self.finish_hashed(claim, hashlib.sha256(body).hexdigest())
        return self.finish_hashed(claim, (await asyncio.to_thread(hashlib.sha256, body)).hexdigest())

    def finish_hashed(self, claim: Claim, payload: str) -> Caller:
        """Do the same for a body whose hash is known. `payload`: SHA-256 of the body in hex."""
        signed = claim.signed
        if claim.secret is None:
            self._remember(signed)
            return claim.caller
        if claim.payload == UNSIGNED:
            if not claim.secure:
                raise InvalidSignature(MISMATCH)
            payload = UNSIGNED
        elif claim.payload is not None and not hmac.compare_digest(
            claim.payload.encode("utf-8", "surrogateescape"), payload.encode()
        ):
            raise InvalidSignature(MISMATCH)
        scope = f"{signed.date}/{signed.region}/{signed.service}/aws4_request"
        digest = hashlib.sha256(f"{claim.canonical}{payload}".encode("utf-8", "surrogateescape")).hexdigest()
        to_sign = f"{ALGORITHM}\n{signed.instant}\n{scope}\n{digest}"
        name = (signed.key_id, claim.secret, signed.date, signed.region, signed.service)
        derived = self._derived.get(name)
        with_key = _signing(claim.secret, signed) if derived is None else derived
        signing = with_key.copy()
        signing.update(to_sign.encode())
        if not hmac.compare_digest(signing.hexdigest(), signed.signature):
            raise InvalidSignature(MISMATCH)
        if derived is None:
            self._derived.keep(name, with_key)
        self._remember(signed)
        self._keys.used(claim.caller, signed.service, signed.region)
        return claim.caller

    def _remember(self, signed: Signed) -> None:
        if signed.new:
            self._signers.keep(signed.new, signed.signer)

    async def claimant(self, headers: dict[bytes, bytes], query: bytes) -> Caller | None:
        """Return the owner of the key that a refused request named, for the audit record; None if the key is unknown
        here.

        Nothing is verified.
        """
        try:
            credential = await self._keys.credential(self._read(headers, query).key_id)
            return await self._keys.caller_of(credential)
        except MoorageError:
            return None

    def _check_token(self, credential: Credential, token: str | None) -> None:
        if credential.session_token_hash is None:
            if token is not None:
                raise UnrecognizedClient
            return
        given = hashlib.sha256((token or "").encode("utf-8", "surrogateescape")).hexdigest()
        if not hmac.compare_digest(given, credential.session_token_hash):
            raise UnrecognizedClient
        if credential.expires_at is not None and credential.expires_at <= self._clock.now():
            raise ExpiredToken

    def _check_clock(self, signed: Signed) -> None:
        if signed.instant[:8] != signed.date:
            raise InvalidSignature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{signed.date}' != '{signed.instant[:8]}', from '{signed.instant}'."
            )
        at, now, skew = _seconds(signed.instant), self._clock.now(), self._skew
        if at > now + skew:
            raise InvalidSignature(
                f"Signature not yet current: {signed.instant} is still later than {_written(now + skew)} "
                f"({_written(now)} + {skew / 60:g} min.)"
            )
        if signed.expires is not None:
            if at + signed.expires < now:
                ended = _written(at + signed.expires)
                raise InvalidSignature(f"Signature expired: {ended} is now earlier than {_written(now)}")
        elif at < now - skew:
            raise InvalidSignature(
                f"Signature expired: {signed.instant} is now earlier than {_written(now - skew)} "
                f"({_written(now)} - {skew / 60:g} min.)"
            )

    def _read(self, headers: dict[bytes, bytes], query: bytes) -> Signed:
        """Return the parts of the signature.

        Raises MissingAuthenticationToken, IncompleteSignature or InvalidSignature.
        """
        raw = headers.get(b"authorization")
        if raw is not None:
            return self._read_header(raw.decode("latin-1"), headers)
        if b"X-Amz-Algorithm=" in query:
            pairs = dict(_query_pairs(query))
            if "X-Amz-Algorithm" in pairs:  # and not only a longer name that ends with it
                return _read_presigned(pairs)
        raise MissingAuthenticationToken

    def _read_header(self, text: str, headers: dict[bytes, bytes]) -> Signed:
        raw_token = headers.get(b"x-amz-security-token")
        token = None if raw_token is None else raw_token.decode("latin-1")
        instant = _instant_of(headers)
        who, _, last = text.rpartition(",")  # clients write the signature last
        found = _LAST.fullmatch(last)
        if found is None:
            return _signed(_parts_of_header(text, instant), instant or "", token, None)
        signer = self._signers.get(who)
        if signer is not None and instant is not None:
            return Signed(*signer, found[1], _checked(instant), token, None, "")
        new = who if len(who) <= _LONGEST_KEPT else ""
        return _signed(_parts_of_header(text, instant), instant or "", token, None, new)


def _signing(secret: bytes, signed: Signed) -> hmac.HMAC:
    """Return an HMAC initialized with the signing key of (secret, day, region, service), for copying.

    A client signs with the same key all day.
    """
    key = b"AWS4" + secret
    for part in (signed.date, signed.region, signed.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")


def _parts_of_header(text: str, instant: str | None) -> dict[str, str]:
    """Return `Credential`, `SignedHeaders` and `Signature` of an Authorization header. Raise IncompleteSignature."""
    algorithm = text.split(" ", 1)[0]
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm}'.")
    parts = _parts(text)
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if instant is None:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        raise IncompleteSignature(f"{' '.join(missing)} Authorization={text}")
    return parts


def _read_presigned(query: dict[str, str]) -> Signed:
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{query['X-Amz-Algorithm']}'.")
    names = ("Credential", "Signature", "SignedHeaders", "Date", "Expires")
    parts = {name: query.get(f"X-Amz-{name}", "") for name in names}
    missing = [name for name, value in parts.items() if not value]
    if missing:
        wanted = " ".join(f"AWS query-string parameters must include 'X-Amz-{name}'." for name in missing)
        raise IncompleteSignature(f"{wanted} Re-examine the query-string parameters.")
    expires = parts["Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 8 and 1 <= int(expires) <= _LONGEST_PRESIGNED):
        raise IncompleteSignature(f"X-Amz-Expires must be a number between 1 and {_LONGEST_PRESIGNED}")
    return _signed(parts, parts["Date"], query.get("X-Amz-Security-Token"), int(expires))


def _signed(parts: dict[str, str], instant: str, token: str | None, expires: int | None, new: str = "") -> Signed:
    """Check the form of the credential scope, the time and the signature."""
    _checked(instant)
    key_id, date, where, service = _scope(parts["Credential"])
    if _SIGNATURE.fullmatch(parts["Signature"]) is None:
        raise InvalidSignature(MISMATCH)
    signed_headers = parts["SignedHeaders"]
    names = {name.encode("latin-1"): name for name in signed_headers.split(";")}
    signature = parts["Signature"]
    return Signed(key_id, date, where, service, signed_headers, names, signature, instant, token, expires, new)


def _checked(instant: str) -> str:
    """Return `instant` if it is valid; else raise IncompleteSignature."""
    try:
        if _INSTANT.fullmatch(instant) is not None:
            _seconds(instant)
            return instant
    except ValueError:
        pass
    raise IncompleteSignature(f"Date must be in ISO-8601 'basic format'. Got '{instant}'.")


def _scope(credential: str) -> tuple[str, str, Region, str]:
    """Return key id, date, region and service of a Credential. Raise IncompleteSignature or InvalidSignature."""
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or len(credential) > _LONGEST_CREDENTIAL:
        raise IncompleteSignature(
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'"
        )
    try:
        return parts[0], parts[1], region(parts[2]), parts[3]
    except InvalidNameError:
        raise InvalidSignature("Credential should be scoped to a valid region. ") from None


def _parts(text: str) -> dict[str, str]:
    """Return the parameters of an Authorization header that are present; the last one wins if one is repeated."""
    pairs = (part.strip().partition("=") for part in text.partition(" ")[2].split(","))
    return {name: value for name, _, value in pairs}


def _instant_of(headers: dict[bytes, bytes]) -> str | None:
    """Return the time of signing from X-Amz-Date, else from Date (ISO 8601 basic, or the format of HTTP)."""
    raw = headers.get(b"x-amz-date")
    if raw is not None:
        return raw.decode("latin-1").strip()
    raw = headers.get(b"date")
    if raw is None:
        return None
    text = raw.decode("latin-1").strip()
    try:
        return _written(datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return text


def _check_signed_headers(headers: dict[bytes, bytes], signed: Signed) -> None:
    names = signed.names
    if "host" not in names.values():
        raise InvalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in _MUST_BE_SIGNED:
        if name in headers and name not in names:
            raise InvalidSignature(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")


def _query_pairs(raw: bytes) -> list[tuple[str, str]]:
    """Return the decoded names and values of a query string."""
    return [
        (unquote_to_bytes(name).decode("latin-1"), unquote_to_bytes(value).decode("latin-1"))
        for name, _, value in (pair.partition(b"=") for pair in raw.split(b"&"))
    ]


@lru_cache(maxsize=256)
def _seconds(instant: str) -> float:
    """Return the seconds since the epoch of YYYYMMDDTHHMMSSZ. Raise ValueError if there is no such time."""
    return datetime(
        int(instant[:4]), int(instant[4:6]), int(instant[6:8]),
        int(instant[9:11]), int(instant[11:13]), int(instant[13:15]), tzinfo=UTC,
    ).timestamp()  # fmt: skip


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
