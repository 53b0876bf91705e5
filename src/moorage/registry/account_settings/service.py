"""The account settings of all registries: each method is one transaction over `rules`."""

from moorage.clock import Clock
from moorage.names import AccountId, Region
from moorage.registry.account_settings import rules
from moorage.store.metadata.database.database import Database


class AccountSettings:
    """Returns and sets account settings, which each region of an account has for itself."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def get(self, account: AccountId, region: Region, name: str) -> str:
        """Return the value of a setting, or its default. InvalidParameter for an unknown name."""
        return await self._db.read(lambda conn: rules.get(conn, account, region, name))

    async def put(self, account: AccountId, region: Region, name: str, value: str, *, by: str) -> None:
        """Set a setting. InvalidParameter for an unknown name or value; LimitExceeded if there are too many regions."""
        await self._db.transaction(
            lambda conn: rules.put(conn, account, region, name, value, by=by, at=self._clock.now())
        )
