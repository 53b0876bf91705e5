"""Download URLs: sealed to a principal, a repository and a digest, short-lived, decided again at use (design §4)."""

from moorage.access.authenticate import Authenticator
from moorage.access.caller import Caller
from moorage.clock import Clock
from moorage.names import Digest, RepositoryRef
from moorage.settings import Settings


class Downloads:
    """Issues and reads the `token` of download URLs."""

    def __init__(self, authenticator: Authenticator, clock: Clock, settings: Settings) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._life = settings.download_url_seconds

    def seal(self, caller: Caller, ref: RepositoryRef, digest: Digest) -> str:
        """Return a token that stands for `caller` when it downloads that layer."""
        expires_at = self._clock.now() + self._life
        return self._authenticator.seal(_purpose(ref, digest), caller, expires_at, ref.region)

    async def open(self, token: str, ref: RepositoryRef, digest: Digest) -> Caller:
        """Return the caller that the token stands for. Raise AuthorizationTokenExpired, AuthorizationTokenInvalid."""
        return await self._authenticator.redeem(self._authenticator.read_grant(_purpose(ref, digest), token))


def _purpose(ref: RepositoryRef, digest: Digest) -> str:
    return f"download {ref.arn} {digest}"
