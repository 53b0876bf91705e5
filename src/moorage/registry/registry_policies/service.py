"""The policies of whole registries: which is in force, how far it reaches, which were
(docs/development/policy-engine.md §1.5)."""

from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from moorage.cache import entry_footprint
from moorage.clock import Clock
from moorage.errors import RegistryPolicyNotFound
from moorage.names import AccountId, Region
from moorage.registry import events
from moorage.registry.account_settings.service import DEFAULTS
from moorage.registry.repositories.regions import check_region
from moorage.registry.repository_policies.service import Past
from moorage.store.metadata import epoch
from moorage.store.metadata.policies import registry_policies as rows
from moorage.store.metadata.policies import repository_policies as documents

_STATES_KEPT = 1 << 20


class InForce(NamedTuple):
    """What a decision needs to know of a registry."""

    policy_hash: str | None
    scope: str
    """`V1`: the policy reaches a few actions between registries; `V2`: every request to the registry."""


class RegistryPolicies:
    """Registry policies as texts in their stored form; every change raises the authorisation epoch."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock) -> None:
        self._db = epochs.db
        self._clock = clock
        self._states: epoch.ReadThroughCache[tuple[AccountId, Region], InForce] = epoch.ReadThroughCache(
            epochs, "registry_states", _STATES_KEPT, "wide", entry_footprint
        )

    async def set(self, account: AccountId, region: Region, text: str, *, by: str) -> None:
        """Put `text` in force in place of any other. LimitExceeded (`regions`)."""

        def work(conn: Connection) -> None:
            check_region(conn, account, region)
            self._change(conn, account, region, documents.keep(conn, text), "registry_policy.set", by)

        await self._db.transaction(work)

    async def get(self, account: AccountId, region: Region) -> str:
        """The text in force. RegistryPolicyNotFound."""
        return await self._db.read(lambda conn: _text(conn, account, region))

    async def delete(self, account: AccountId, region: Region, *, by: str) -> str:
        """End the policy; its text. RegistryPolicyNotFound."""

        def work(conn: Connection) -> str:
            text = _text(conn, account, region)
            self._change(conn, account, region, None, "registry_policy.deleted", by)
            return text

        return await self._db.transaction(work)

    async def regions(self, account: AccountId) -> list[Region]:
        """Where the account's registry has a policy, or was given a scope for one."""
        return [Region(each) for each in await self._db.read(lambda conn: rows.regions(conn, account))]

    async def history(self, account: AccountId, region: Region) -> list[Past]:
        """Every policy the registry had, oldest first."""
        found = await self._db.read(lambda conn: rows.history(conn, account, region))
        return [Past(row.policy_hash, row.at, row.by) for row in found]

    async def in_force(self, account: AccountId, region: Region, at: epoch.Epoch | None = None) -> InForce:
        """What applies now. `at`: the epoch, where the request has just read it."""
        known = self._states.known((account, region), at)
        if known is not None:
            return known
        return (await self._states.get((account, region), partial(_in_force, account=account, region=region), at))[1]

    def _change(
        self, conn: Connection, account: AccountId, region: Region, name: str | None, event: str, by: str
    ) -> None:
        now = self._clock.now()
        rows.set_of_registry(conn, account, region, name, now, by)
        epoch.advance(conn)
        events.record_of_registry(conn, account, region, event, {"by": by}, at=now)


def _text(conn: Connection, account: AccountId, region: Region) -> str:
    text = rows.text(conn, account, region)
    if text is None:
        raise RegistryPolicyNotFound(account)
    return text


def _in_force(conn: Connection, account: AccountId, region: Region) -> tuple[int, InForce]:
    row = rows.state(conn, account, region)
    return row.epoch, InForce(row.policy_hash, row.scope or DEFAULTS[rows.SCOPE])
