"""The current state of an account as a declaration: `moorage export` writes it, `moorage apply` compares with it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from moorage import policy
from moorage.access.principals import Principals
from moorage.declarative import organization
from moorage.declarative.declaration import (
    SECTIONS,
    Account,
    DeclaredPolicy,
    Group,
    Organization,
    Registry,
    Repository,
    Role,
    User,
)
from moorage.declarative.time_slices import TimeSlices
from moorage.errors import RegistryPolicyNotFound, RepositoryNotFound, RepositoryPolicyNotFound
from moorage.identity.identity import Identity
from moorage.identity.policies.managed_policies import ManagedPolicy
from moorage.identity.principals.details import Details
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry as RegistryStore
from moorage.store.metadata.policies.registry_policies import SCOPE

_KINDS: Final[Mapping[str, str]] = {"groups": "group", "users": "user", "roles": "role"}
_PAGE: Final = 8
"""How many entities are read at once, while other requests wait."""


class Position(NamedTuple):
    """A position in the order in which an account is read."""

    section: str
    name: str = ""
    """In lower case, except for repositories."""
    region: str = ""


class Entry(NamedTuple):
    """One entity of an account: `value` under `key` in that section of a declaration."""

    position: Position
    key: Any
    value: Any


class CurrentState:
    """Reads everything that accounts contain, except service-linked roles."""

    def __init__(self, identity: Identity, registry: RegistryStore, principals: Principals) -> None:
        self._identity = identity
        self._registry = registry
        self._principals = principals

    async def of(self, account: AccountId) -> Account:
        """Return the account with what it has in every region."""
        found = Account()
        async for entry in self.entries(account):
            getattr(found, entry.position.section)[entry.key] = entry.value
        return found

    async def entries(self, account: AccountId, after: Position | None = None) -> AsyncIterator[Entry]:
        """Yield the entities after a position, in the order of `SECTIONS`, reading each when it is needed."""
        slices = TimeSlices()
        for section in SECTIONS if after is None else SECTIONS[SECTIONS.index(after.section) :]:
            start = after if after is not None and after.section == section else Position(section)
            if section == "policies":
                found = self._policies(account, start)
            elif section == "repositories":
                found = self._repositories(account, start)
            elif section == "registries":
                found = self._registries(account, start)
            else:
                found = self._identities(account, start)
            async for entry in found:
                yield entry
                await slices.pause()

    async def _policies(self, account: AccountId, after: Position) -> AsyncIterator[Entry]:
        async for one in self._identity.managed.each_own(account, after=after.name):
            yield Entry(after._replace(name=one.name.lower()), one.name, await self._managed(account, one))

    async def _identities(self, account: AccountId, after: Position) -> AsyncIterator[Entry]:
        kind = _KINDS[after.section]
        at = f"{kind}/{after.name}"
        while page := await self._identity.details.page(account, (kind,), after=at, limit=_PAGE):
            for each in page:
                value = await self._holder(each)
                if value is not None and each.entity is not None:
                    name = each.position.partition("/")[2]
                    yield Entry(after._replace(name=name), each.entity.name, value)
            at = page[-1].position

    async def _repositories(self, account: AccountId, after: Position) -> AsyncIterator[Entry]:
        repositories = self._registry.repositories
        for region in await repositories.regions(account):
            if region < after.region:
                continue
            name = after.name if region == after.region else ""
            while names := await repositories.names(account, region, after=name, limit=_PAGE):
                for name in names:
                    ref = RepositoryRef(account, region, RepositoryName(name))
                    with contextlib.suppress(RepositoryNotFound):  # deleted since the names were read
                        position = after._replace(region=region, name=name)
                        yield Entry(position, (region, ref.name), await self._repository(ref))

    async def _registries(self, account: AccountId, after: Position) -> AsyncIterator[Entry]:
        for region in await self._registry.registry_policies.regions(account):
            if region > after.region:
                one = await self._registry_of(account, region)
                if one != Registry():
                    yield Entry(after._replace(region=region), region, one)

    async def organization(self) -> Organization | None:
        """Return the organization in force, or None."""
        kept = await self._identity.organizations.get()
        return None if kept is None or kept.document is None else organization.canonical(kept.document)

    async def _holder(self, one: Details) -> Group | User | Role | None:
        """Return a user, group or role as it is declared; None for a service-linked role."""
        tags = dict(one.tags)
        attached = tuple(sorted(each.arn for each in one.attached))
        inline = {each.name: canonical(each.text, policy.Kind.IDENTITY) for each in one.inline}
        if one.role is not None:
            if one.role.service is not None:
                return None
            trust = canonical(await self._principals.shown(one.role.trust), policy.Kind.TRUST)
            role, seconds = one.role, one.role.max_session_seconds
            return Role(trust, role.path, role.description, seconds, attached, inline, one.boundary, tags)
        if one.entity is None:
            return None
        if one.kind == "group":
            return Group(one.entity.path, attached, inline)
        return User(one.entity.path, tuple(sorted(one.groups)), attached, inline, one.boundary, tags)

    async def _managed(self, account: AccountId, one: ManagedPolicy) -> DeclaredPolicy:
        version = await self._identity.managed.version(account, one.arn, one.default_version)
        tags = await self._identity.tags.of(one.id)
        return DeclaredPolicy(canonical(version.text, policy.Kind.IDENTITY), one.path, one.description, tags)

    async def _repository(self, ref: RepositoryRef) -> Repository:
        one = await self._registry.repositories.get(ref)
        tags = dict(await self._registry.repositories.tags(ref))
        return Repository(one.mutability, one.exclusion_filters, one.scan_on_push, await self._policy(ref), tags)

    async def _registry_of(self, account: AccountId, region: Region) -> Registry:
        scope = await self._registry.account_settings.get(account, region, SCOPE)
        try:
            stored = await self._registry.registry_policies.get(account, region)
        except RegistryPolicyNotFound:
            return Registry(scope)
        shown = await self._principals.shown(stored, policy.Kind.REGISTRY)
        return Registry(scope, canonical(shown, policy.Kind.REGISTRY))

    async def _policy(self, ref: RepositoryRef) -> str | None:
        try:
            stored = await self._registry.repository_policies.get(ref)
        except RepositoryPolicyNotFound:
            return None
        shown = await self._principals.shown(stored, policy.Kind.REPOSITORY)
        return canonical(shown, policy.Kind.REPOSITORY)


def canonical(text: str, kind: policy.Kind) -> str:
    """Return the canonical form of a policy."""
    return policy.parse(text, kind).canonical()
