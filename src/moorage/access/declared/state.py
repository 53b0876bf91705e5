"""What an account has, as a declaration: what `moorage export` writes and `moorage apply` compares with."""

import contextlib

from moorage import policy
from moorage.access.declared import organization
from moorage.access.declared.declaration import Account, Group, Managed, Organization, Registry, Repository, Role, User
from moorage.access.declared.nouns import Nouns
from moorage.access.declared.pauses import Pauses
from moorage.access.principals import Principals
from moorage.errors import RegistryPolicyNotFound, RepositoryNotFound, RepositoryPolicyNotFound
from moorage.identity.details import Details
from moorage.identity.managed_policies import ManagedPolicy
from moorage.names import AccountId, Region, RepositoryRef
from moorage.store.metadata.registry_policies import SCOPE

_KINDS = ("group", "role", "user")
_PAGE = 8
"""Read at once, while other requests wait."""


class State:
    """Reads accounts whole. Service-linked roles are their services' and not told."""

    def __init__(self, nouns: Nouns) -> None:
        self._identity, self._registry = nouns
        self._principals = Principals(nouns.identity)

    async def of(self, account: AccountId) -> Account:
        """The account as it is, with what it has in every region."""
        found, after, pauses = Account(), "", Pauses()
        for one in await self._identity.managed.all(account):
            if not one.is_aws:
                found.policies[one.name] = await self._managed(account, one)
                await pauses()
        while page := await self._identity.details.page(account, _KINDS, after=after, limit=_PAGE):
            for each in page:
                await self._take(found, each)
                await pauses()
            after = page[-1].position
        for region in await self._registry.repositories.regions(account):
            await self._take_repositories(found, account, region, pauses)
        for region in await self._registry.registry_policies.regions(account):
            one_registry = await self._registry_of(account, region)
            if one_registry != Registry():
                found.registries[region] = one_registry
            await pauses()
        return found

    async def organization(self) -> Organization | None:
        """The organization in force."""
        kept = await self._identity.organizations.get()
        return None if kept is None or kept.document is None else organization.canonical(kept.document)

    async def _take(self, into: Account, one: Details) -> None:
        tags = dict(one.tags)
        attached = tuple(sorted(each.arn for each in one.attached))
        inline = {each.name: canonical(each.text, policy.Kind.IDENTITY) for each in one.inline}
        if one.role is not None:
            if one.role.service is None:
                trust = canonical(await self._principals.shown(one.role.trust), policy.Kind.TRUST)
                role, seconds = one.role, one.role.max_session_seconds
                into.roles[role.name] = Role(
                    trust, role.path, role.description, seconds, attached, inline, one.boundary, tags
                )
        elif one.entity is not None and one.kind == "group":
            into.groups[one.entity.name] = Group(one.entity.path, attached, inline)
        elif one.entity is not None:
            groups = tuple(sorted(one.groups))
            into.users[one.entity.name] = User(one.entity.path, groups, attached, inline, one.boundary, tags)

    async def _managed(self, account: AccountId, one: ManagedPolicy) -> Managed:
        version = await self._identity.managed.version(account, one.arn, one.default_version)
        tags = await self._identity.tags.of(one.id)
        return Managed(canonical(version.text, policy.Kind.IDENTITY), one.path, one.description, tags)

    async def _take_repositories(self, into: Account, account: AccountId, region: Region, pauses: Pauses) -> None:
        repositories, after = self._registry.repositories, 0
        while page := await repositories.page(account, region, after=after, limit=_PAGE):
            for each in page:
                with contextlib.suppress(RepositoryNotFound):  # deleted since the page was read
                    into.repositories[region, each.ref.name] = Repository(
                        each.mutability,
                        each.exclusion_filters,
                        each.scan_on_push,
                        await self._policy(each.ref),
                        dict(await repositories.tags(each.ref)),
                    )
                await pauses()
            after = page[-1].id

    async def _registry_of(self, account: AccountId, region: Region) -> Registry:
        scope = await self._registry.settings.get(account, region, SCOPE)
        try:
            stored = await self._registry.registry_policies.get(account, region)
        except RegistryPolicyNotFound:
            return Registry(scope)
        shown = await self._principals.shown(stored, policy.Kind.REGISTRY)
        return Registry(scope, canonical(shown, policy.Kind.REGISTRY))

    async def _policy(self, ref: RepositoryRef) -> str | None:
        try:
            stored = await self._registry.policies.get(ref)
        except RepositoryPolicyNotFound:
            return None
        shown = await self._principals.shown(stored, policy.Kind.REPOSITORY)
        return canonical(shown, policy.Kind.REPOSITORY)


def canonical(text: str, kind: policy.Kind) -> str:
    """Texts that mean the same in the same words, in the same form."""
    return policy.parse(text, kind).canonical()
