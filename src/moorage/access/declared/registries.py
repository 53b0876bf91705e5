"""Changes of an account's repositories and registries, made in one transaction each."""

from typing import Any

from moorage.access.declared.changes import Change
from moorage.access.declared.declaration import Registry, Repository
from moorage.access.declared.nouns import Nouns
from moorage.access.principals import Principals
from moorage.access.registry_policy import RegistryPolicyCheck
from moorage.names import AccountId, RepositoryRef
from moorage.store.metadata.registry_policies import SCOPE


class Registries:
    """Makes, changes and deletes them, through the same rules as the API's calls."""

    def __init__(self, nouns: Nouns, account: AccountId, by: str) -> None:
        self._identity, self._registry = nouns
        self._account = account
        self._by = by

    async def repository(self, change: Change, policy: str | None) -> None:
        """`policy`: what is declared of it, checked, in its stored form; None where it does not change."""
        repositories, policies, by = self._registry.repositories, self._registry.policies, self._by
        ref = RepositoryRef(self._account, *change.name)
        before: Repository | None = change.before
        after: Repository | None = change.after
        if after is None:
            await repositories.delete(ref, force=False, by=by)  # one with images is not deleted by a file
            return
        if before is None:
            mutability: Any = {"mutability": after.mutability, "exclusion_filters": after.exclusions}
            await repositories.create(ref, **mutability, scan_on_push=after.scan_on_push, tags=after.tags, by=by)
        else:
            if before.scan_on_push != after.scan_on_push:
                await repositories.set_scan_on_push(ref, after.scan_on_push, by=by)
            if (before.mutability, before.exclusions) != (after.mutability, after.exclusions):
                await repositories.set_mutability(ref, after.mutability, after.exclusions, by=by)
            gone = sorted({*before.tags} - {*after.tags})
            if gone:
                await repositories.untag(ref, gone, by=by)
            if after.tags != before.tags and after.tags:
                await repositories.tag(ref, after.tags, by=by)
            if before.policy is not None and after.policy is None:
                await policies.delete(ref, by=by)
        if policy is not None:
            await policies.set(ref, policy, by=by)

    async def registry(self, change: Change) -> None:
        """The scope first: it says what the policy may be."""
        policies, account, region = self._registry.registry_policies, self._account, change.name
        before: Registry = change.before or Registry()
        after: Registry = change.after or Registry()
        if before.policy_scope != after.policy_scope:
            await self._registry.settings.put(account, region, SCOPE, after.policy_scope)
        if before.policy == after.policy:
            return
        if after.policy is None:
            await policies.delete(account, region, by=self._by)
        else:
            check = RegistryPolicyCheck(Principals(self._identity), policies)
            stored = await check.check_and_canonicalise(account, region, after.policy)
            await policies.set(account, region, stored, by=self._by)
