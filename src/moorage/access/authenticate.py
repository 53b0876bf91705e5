"""Turns credentials into callers: access keys, sessions, dev mode's open keys, registry passwords and pull tokens.

A registry password is a sealed text with the id of a key and an expiry time. The key is looked up at every use, so the
password expires together with its key, session or user.
"""

import base64
import binascii
import hmac
import re
from typing import Literal

import msgspec

from moorage import policy
from moorage.access import context
from moorage.access.caller import Caller
from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.errors import AuthorizationTokenExpired, AuthorizationTokenInvalid, UnrecognizedClient
from moorage.identity import arns
from moorage.identity.credentials.credentials import Credential, PolicySets
from moorage.identity.credentials.pull_tokens import PresentedToken, read_token
from moorage.identity.identity import Identity
from moorage.names import AccountId, Region
from moorage.sealing import SealBrokenError, Sealer
from moorage.settings import Settings

USER = "AWS"
"""The user name that belongs to a registry password."""

_PURPOSE = "registry password"
_BEARER = "bearer token"
BEARER_SECONDS = 300.0
"""Lifetime of a Bearer token; clients fetch the next one themselves."""
_NO_KEY = ""
"""The key id in a Bearer token of an anonymous caller."""
_MINTED = re.compile(r"(AKIA|ASIA)", re.IGNORECASE)
_ACCOUNT = re.compile(r"[0-9]{12}")
_KEY_ID = re.compile(r"\w{16,128}", re.ASCII)
_BEARER_HEADER = re.compile(r"Bearer [\w-]+", re.ASCII)
_KEPT = 4 << 20
"""Bytes of each cache of headers and callers. Only headers of valid credentials are cached."""
_LONGEST_OPEN = 128
"""Most characters of an open key of dev mode; IAM's key ids have the same limit."""
_LONGEST_KEPT = 2048
"""Most characters of a header that is cached. Registry passwords are shorter."""


class Grant(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The content of a sealed text: a key, verified or an open one of dev mode, an expiry time and a region."""

    key_id: str
    is_open: bool
    expires_at: float
    region: Region
    """Where it is valid; empty in a Bearer token for a credential without a region (a pull token)."""


class PasswordStatus(msgspec.Struct, frozen=True):
    """Whether a registry password is valid now."""

    state: Literal["valid", "expired", "revoked"]
    """`revoked`: it was issued here and has not expired, but its key, session or principal was deleted."""
    key_id: str
    caller: Caller | None
    """The caller of a valid password."""
    expires_at: float | None
    """Seconds since the epoch; None for an open key of dev mode, which does not expire."""


class Authenticator:
    """The only place where a credential becomes a `Caller`."""

    def __init__(self, identity: Identity, sealer: Sealer, clock: Clock, settings: Settings) -> None:
        self._credentials = identity.credentials
        self._last_uses = identity.last_uses
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._callers: Cache[str, tuple[Credential, Caller]] = Cache("callers", _KEPT, entry_footprint)
        self._open: Cache[str, Caller] = Cache("open_callers", _KEPT, entry_footprint)
        self._grants: Cache[str, Grant | PresentedToken | Caller] = Cache("passwords", _KEPT, entry_footprint)
        self._bearers: Cache[str, Grant] = Cache("bearer_tokens", _KEPT, entry_footprint)
        self._anonymous = Caller(
            policy.ANONYMOUS, "anonymous", _NO_KEY, PolicySets(), context.of_credential(policy.ANONYMOUS, None)
        )

    async def credential(self, key_id: str) -> Credential:
        """Return the key or session with that id, for signed requests. Raise UnrecognizedClient."""
        found = None
        if _KEY_ID.fullmatch(key_id) is not None:  # the pattern of IAM's service model; other texts are not looked up
            _, found = await self._credentials.find(key_id)
        if found is None or found.kind == "token":  # a pull token is a password and cannot sign requests
            raise UnrecognizedClient
        return found

    async def caller_of(self, credential: Credential) -> Caller:
        """Return the caller with that credential: the same object for as long as the credential does not change."""
        return self._caller(credential)

    def _caller(self, credential: Credential) -> Caller:
        known = self._callers.get(credential.key_id)
        if known is not None and known[0] is credential:
            return known[1]
        principal = _principal(credential)
        caller = Caller(
            principal=principal,
            credential=credential.kind,
            key_id=credential.key_id,
            policies=credential.policies,
            context=context.of_credential(principal, credential),
            expires_at=credential.expires_at,
            session=credential.session,
        )
        self._callers.keep(credential.key_id, (credential, caller))
        return caller

    def used(self, caller: Caller, service: str, region: str) -> None:
        """Note that a request of the caller was verified, for the last use of its key or role."""
        if caller.credential == "key":
            self._last_uses.note(caller.key_id, service, region)
        elif caller.principal.role_id is not None:
            self._last_uses.note(caller.principal.role_id, service, region)

    async def open_caller(self, key_id: str) -> Caller | None:
        """Return the root that an unverified key of dev mode stands for; None if such a key must be verified."""
        if not self._settings.dev or len(key_id) > _LONGEST_OPEN or _MINTED.match(key_id) is not None:
            return None
        known = self._open.get(key_id)
        if known is None:
            is_account = _ACCOUNT.fullmatch(key_id) is not None
            account = AccountId(key_id) if is_account else self._settings.default_account
            principal = policy.root_of(account)
            known = Caller(principal, "open", key_id, PolicySets(), context.of_credential(principal, None))
            self._open.keep(key_id, known)
        return known

    def anonymous(self) -> Caller:
        """Return the anonymous caller. Raise AuthorizationTokenInvalid unless the setting `anonymous_pull` is on."""
        if not self._settings.anonymous_pull:
            raise AuthorizationTokenInvalid
        return self._anonymous

    async def issue_bearer(self, authorization: str | None) -> tuple[str, float]:
        """Return a Bearer token for the credentials of a Basic header (None: anonymous), and its expiry time.

        It expires no later than those credentials, and is valid in the same region. Raise AuthorizationTokenExpired,
        AuthorizationTokenInvalid.
        """
        expires_at, region = self._clock.now() + BEARER_SECONDS, Region("")
        if authorization is None:
            return self.seal(_BEARER, self.anonymous(), expires_at, region), expires_at
        shown = await self._read_basic(authorization)
        caller = await self._caller_of(shown, None)
        if isinstance(shown, Grant):
            expires_at, region = min(expires_at, shown.expires_at), shown.region
        if caller.expires_at is not None:
            expires_at = min(expires_at, caller.expires_at)
        return self.seal(_BEARER, caller, expires_at, region), expires_at

    async def caller_of_bearer(self, header: str, region: Region | None = None) -> Caller:
        """Return the caller of an `Authorization: Bearer …` header. With `region`, the token must be valid there.

        Raise AuthorizationTokenInvalid, also for an expired token, so that the client fetches the next one.
        """
        known = self._bearers.get(header)
        grant = self.read_grant(_BEARER, header[len("Bearer ") :].strip()) if known is None else known
        if region is not None and grant.region not in {"", region}:
            raise AuthorizationTokenInvalid
        try:
            caller = await self.redeem(grant)
        except AuthorizationTokenExpired as error:
            raise AuthorizationTokenInvalid from error
        if known is None and _BEARER_HEADER.fullmatch(header) is not None:
            self._bearers.keep(header, grant)
        return caller

    async def issue_password(self, caller: Caller, region: Region) -> tuple[str, float]:
        """Return a registry password for `caller` and its expiry time (seconds since the epoch)."""
        expires_at = self._clock.now() + self._settings.password_seconds
        return self.seal(_PURPOSE, caller, expires_at, region), expires_at

    def seal(self, purpose: str, caller: Caller, expires_at: float, region: Region) -> str:
        """Return a sealed text that stands for `caller` until `expires_at`, for that purpose."""
        grant = Grant(caller.key_id, not caller.verified, expires_at, region)
        return self._sealer.seal(purpose, msgspec.msgpack.encode(grant))

    async def redeem(self, grant: Grant) -> Caller:
        """Return the caller of a grant. Raise AuthorizationTokenExpired, AuthorizationTokenInvalid."""
        now = self._clock.now()
        if grant.expires_at <= now:
            raise AuthorizationTokenExpired
        if grant.key_id == _NO_KEY and not grant.is_open:
            return self.anonymous()
        if grant.is_open:
            opened = await self.open_caller(grant.key_id)
            if opened is None:
                raise AuthorizationTokenInvalid
            return opened
        _, found = await self._credentials.find(grant.key_id)
        if found is None:
            raise AuthorizationTokenInvalid
        if found.expires_at is not None and found.expires_at <= now:
            raise AuthorizationTokenExpired
        if found.kind == "token":
            self._last_uses.note(found.key_id, "ecr", "")
        return self._caller(found)

    async def caller_of_basic(self, header: str, region: Region | None = None) -> Caller:
        """Return the caller of an `Authorization: Basic …` header on `/v2/`.

        With `region`, the password must be valid there. Raise AuthorizationTokenExpired, AuthorizationTokenInvalid.
        """
        known = self._grants.get(header)
        shown = await self._read_basic(header) if known is None else known
        caller = await self._caller_of(shown, region)
        if known is None and _is_usual(header):
            self._grants.keep(header, shown)
        return caller

    async def _caller_of(self, shown: Grant | PresentedToken | Caller, region: Region | None) -> Caller:
        if isinstance(shown, Caller):
            return shown
        if isinstance(shown, PresentedToken):
            return await self._redeem_token(shown)
        if region is not None and shown.region != region:
            raise AuthorizationTokenInvalid
        return await self.redeem(shown)

    async def _redeem_token(self, shown: PresentedToken) -> Caller:
        """Return the caller of a pull token with the right secret. It is valid in every region."""
        _, found = await self._credentials.find(shown.token_id)
        if found is None or not hmac.compare_digest(found.session_token_hash or "", shown.secret_hash):
            raise AuthorizationTokenInvalid
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise AuthorizationTokenExpired
        self._last_uses.note(shown.token_id, "ecr", "")
        return self._caller(found)

    async def password_status(self, header: str) -> PasswordStatus:
        """Return the status of the password in an `Authorization: Basic …` header.

        Raise AuthorizationTokenInvalid if it was not issued here.
        """
        known = await self._read_basic(header)
        if isinstance(known, Caller):
            return PasswordStatus("valid", known.key_id, known, None)
        if isinstance(known, PresentedToken):
            return await self._token_status(known)
        try:
            caller = await self.redeem(known)
        except AuthorizationTokenExpired:
            return PasswordStatus("expired", known.key_id, None, known.expires_at)
        except AuthorizationTokenInvalid:
            return PasswordStatus("revoked", known.key_id, None, known.expires_at)
        ends = known.expires_at if caller.expires_at is None else min(known.expires_at, caller.expires_at)
        return PasswordStatus("valid", known.key_id, caller, ends)

    async def _token_status(self, shown: PresentedToken) -> PasswordStatus:
        try:
            caller = await self._redeem_token(shown)
        except AuthorizationTokenExpired:
            return PasswordStatus("expired", shown.token_id, None, None)
        except AuthorizationTokenInvalid:
            if not await self._credentials.is_known_token(*shown):
                raise
            return PasswordStatus("revoked", shown.token_id, None, None)
        return PasswordStatus("valid", shown.token_id, caller, caller.expires_at)

    async def _read_basic(self, header: str) -> Grant | PresentedToken | Caller:
        scheme, _, encoded = header.partition(" ")
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise AuthorizationTokenInvalid from error
        if scheme.lower() != "basic" or not colon:
            raise AuthorizationTokenInvalid
        if not user:  # skopeo and podman send this without a login
            raise AuthorizationTokenInvalid
        shown = read_token(password)
        if shown is not None:
            return shown
        if user != USER:
            opened = await self.open_caller(user)
            if opened is None:
                raise AuthorizationTokenInvalid
            return opened
        return self.read_grant(_PURPOSE, password)

    def read_grant(self, purpose: str, text: str) -> Grant:
        """Return the content of a sealed text of that purpose. Raise AuthorizationTokenInvalid."""
        try:
            return msgspec.msgpack.decode(self._sealer.open(purpose, text), type=Grant)
        except (SealBrokenError, msgspec.DecodeError) as error:
            raise AuthorizationTokenInvalid from error


def _is_usual(header: str) -> bool:
    """Return whether a valid Basic header has the usual spelling.

    Other spellings of the same credentials are accepted but not cached, because there are too many of them.
    """
    if len(header) > _LONGEST_KEPT:
        return False
    scheme, _, encoded = header.partition(" ")
    return scheme == "Basic" and base64.b64encode(base64.b64decode(encoded)).decode() == encoded


def basic(user: str, password: str) -> str:
    """Return the `Authorization` header for a user name and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _principal(credential: Credential) -> policy.Principal:
    account, owner, session = credential.account, credential.owner, credential.session
    if session is not None and credential.kind == "federated":
        return policy.Principal(
            "federated",
            account,
            arns.federated_user_arn(account, session.name),
            f"{account}:{session.name}",
            user_arn=None if owner is None else owner.arn,
            user_id=None if owner is None else owner.id,
        )
    if owner is None and credential.token_name is not None:
        # Session policies do not limit the root user, so a token of the root acts as a federated user of its account.
        name = credential.token_name
        return policy.Principal("federated", account, arns.federated_user_arn(account, name), f"{account}:{name}")
    if owner is None:
        return policy.root_of(account)
    if session is not None and credential.kind == "role":
        return policy.Principal(
            "role",
            account,
            arns.role_session_arn(account, owner.name, session.name),
            f"{owner.id}:{session.name}",
            role_arn=owner.arn,
            role_id=owner.id,
            service_linked=credential.service_linked,
        )
    return policy.Principal("user", account, owner.arn, owner.id, user_name=owner.name)
