"""The policies of all registries: each method is one transaction over `rules`, or a cached read."""

from functools import partial
from typing import Final

from moorage.cache import entry_footprint
from moorage.clock import Clock
from moorage.names import AccountId, Region
from moorage.registry.registry_policies import rules
from moorage.registry.registry_policies.types import RegistryState
from moorage.registry.repository_policies.types import PolicyRevision
from moorage.store.metadata import epoch
from moorage.store.metadata.policies import registry_policies as rows

_STATES_KEPT: Final = 1 << 20
"""Bytes of registry states that are cached."""


class RegistryPolicies:
    """Sets, returns and deletes registry policies. The errors are those of `rules`."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock) -> None:
        self._db = epochs.db
        self._clock = clock
        self._states: epoch.ReadThroughCache[tuple[AccountId, Region], RegistryState] = epoch.ReadThroughCache(
            epochs, "registry_states", _STATES_KEPT, "wide", entry_footprint
        )

    async def set(self, account: AccountId, region: Region, text: str, *, by: str) -> None:
        """Set the policy of the registry, in place of any other. LimitExceeded if there are too many regions."""
        await self._db.transaction(lambda conn: rules.put(conn, account, region, text, by=by, at=self._clock.now()))

    async def get(self, account: AccountId, region: Region) -> str:
        """Return the text of the policy. RegistryPolicyNotFound."""
        return await self._db.read(lambda conn: rules.get(conn, account, region))

    async def delete(self, account: AccountId, region: Region, *, by: str) -> str:
        """Delete the policy and return its text. RegistryPolicyNotFound."""
        return await self._db.transaction(lambda conn: rules.delete(conn, account, region, by=by, at=self._clock.now()))

    async def regions(self, account: AccountId) -> list[Region]:
        """Return the regions in which the account has a registry policy, or has set the scope of one."""
        return [Region(each) for each in await self._db.read(lambda conn: rows.regions(conn, account))]

    async def history(self, account: AccountId, region: Region) -> list[PolicyRevision]:
        """Return the revisions of the policy that are kept, oldest first."""
        return await self._db.read(lambda conn: rules.history(conn, account, region))

    async def state(self, account: AccountId, region: Region, at: epoch.Epoch | None = None) -> RegistryState:
        """Return what a decision needs to know of the registry. `at`: the epoch, if the request has just read it."""
        known = self._states.known((account, region), at)
        if known is not None:
            return known
        return (await self._states.get((account, region), partial(rules.state, account=account, region=region), at))[1]
