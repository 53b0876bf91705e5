"""What the identities of a deployment need by themselves: ended credentials are deleted. Background jobs call this."""

from collections.abc import AsyncIterator

from moorage.identity.credentials.expiry import (
    EXPIRED_SESSION_SECONDS,
    delete_ended_pull_tokens,
    delete_expired_sessions,
)
from moorage.settings import Settings
from moorage.store.elapsed import ElapsedTime
from moorage.store.metadata.database.database import Database


class IdentityMaintenance:
    """The maintenance of all identities. What has expired goes by the time that really passed."""

    def __init__(self, db: Database, elapsed: ElapsedTime, settings: Settings) -> None:
        self._db = db
        self._elapsed = elapsed
        self._settings = settings

    async def delete_credentials(self) -> AsyncIterator[int]:
        """Delete sessions a day after they expired, and pull tokens as long after they ended as trash is kept."""
        observed = await self._elapsed.observe()
        async for number in delete_expired_sessions(self._db, before=observed.expired_before(EXPIRED_SESSION_SECONDS)):
            yield number
        before = observed.expired_before(self._settings.trash_seconds)
        async for number in delete_ended_pull_tokens(self._db, before=before):
            yield number
