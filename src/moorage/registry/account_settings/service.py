"""The settings of a registry that GetAccountSetting and PutAccountSetting speak of (docs/development/ecr-behavior.md
§12)."""

from sqlalchemy import Connection

from moorage.errors import InvalidParameter
from moorage.names import AccountId, Region
from moorage.registry.repositories.regions import check_region
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.policies.registry_policies import SCOPE
from moorage.store.metadata.repositories import account_settings as rows

DEFAULTS = {"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "DISABLED"}
VALUES = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE",),
    "REGISTRY_POLICY_SCOPE": ("V1", "V2"),
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}


class AccountSettings:
    """One value a name in each registry; what was never put has its default."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, account: AccountId, region: Region, name: str) -> str:
        """The setting's value. InvalidParameter for a name that ECR does not know."""
        _check_name(name)
        stored = await self._db.read(lambda conn: rows.get(conn, account, region, name))
        return stored or DEFAULTS[name]

    async def put(self, account: AccountId, region: Region, name: str, value: str) -> None:
        """Set it. InvalidParameter for a name or value that ECR does not know; LimitExceeded (`regions`)."""
        _check_name(name)
        if value not in VALUES[name]:
            raise _not_one_of("value", VALUES[name])

        def work(conn: Connection) -> None:
            check_region(conn, account, region)
            rows.put(conn, account, region, name, value)
            if name == SCOPE:  # a decision rests on it
                epoch.advance(conn)

        await self._db.transaction(work)


def _check_name(name: str) -> None:
    if name not in DEFAULTS:
        raise _not_one_of("name", tuple(DEFAULTS))


def _not_one_of(member: str, values: tuple[str, ...]) -> InvalidParameter:
    return InvalidParameter.at(member, f"Member must satisfy enum value set: [{', '.join(values)}]")
