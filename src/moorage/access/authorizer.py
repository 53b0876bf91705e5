"""Implements the registry's `Authorizer` for the caller of one request."""

from typing import NamedTuple

from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.resources import RegistryResource
from moorage.names import AccountId, Region, RepositoryRef


class RequestAuthorizer(NamedTuple):
    """Decides for one caller and connection."""

    access: Access
    caller: Caller
    connection: Connection

    async def require(self, action: str, ref: RepositoryRef) -> None:
        await self.access.require(self.caller, self.connection, action, ref)

    async def require_on_all(self, action: str, account: AccountId, region: Region) -> None:
        everything = RegistryResource(account, region, all_repositories=True)
        await self.access.require(self.caller, self.connection, action, everything)

    async def allows(self, action: str, ref: RepositoryRef) -> bool:
        return await self.access.allows(self.caller, self.connection, action, ref)

    async def sees(self, action: str, ref: RepositoryRef) -> bool:
        return await self.access.sees(self.caller, self.connection, action, ref)
