"""Declarative files, planned, applied and exported."""

from typing import Any, NamedTuple

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.declared.applying import Applier, documents
from moorage.access.declared.changes import Change, changes
from moorage.access.declared.declaration import Account
from moorage.access.declared.state import State
from moorage.access.principals import Principals
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.errors import MoorageError
from moorage.identity.identity import Identity
from moorage.names import AccountId
from moorage.policy import lint
from moorage.registry.registry import Registry


class Warned(NamedTuple):
    """What lint has to say of a policy that a change puts in force."""

    aspect: str
    severity: str
    message: str


class Declared:
    """Compares accounts with what is declared of them, and makes them so."""

    def __init__(
        self, identity: Identity, registry: Registry, principals: Principals, check: RepositoryPolicyCheck
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._state = State(identity, registry, principals)
        self._applier = Applier(identity, registry, principals, check)

    async def export(self, account: AccountId) -> Account:
        """The account as it stands, with its repositories in every region."""
        return await self._state.of(account, await self._registry.repositories.regions(account))

    async def plan(self, account: AccountId, wanted: Account, *, prune: bool) -> list[Change]:
        """What would change, in the order in which it would."""
        return changes(await self.export(account), wanted, prune=prune)

    async def apply(
        self, account: AccountId, planned: list[Change], caller: Caller, connection: Connection
    ) -> tuple[list[Change], tuple[Change, MoorageError] | None]:
        """What was done, and the change that failed, if one did. Each is told to the records as the caller's."""
        return await self._applier.apply(account, planned, caller, connection)

    async def make_keys(self, account: AccountId, wanted: Account) -> list[dict[str, Any]]:
        """A key for every declared user that has none; the secrets are told here and never again."""
        made = []
        for name in sorted(wanted.users):
            if not await self._identity.keys.list(account, name):
                key, secret = await self._identity.keys.create(account, name)
                made.append({"user": name, "accessKeyId": key.id, "secretAccessKey": secret})
        return made


def warnings(account: AccountId, change: Change) -> list[Warned]:
    """Lint's findings, suggestions left out."""
    return [
        Warned(aspect, each.severity.value, each.message)
        for aspect, text, kind in documents(change)
        for each in lint.lint(text, kind, account=account if kind is policy.Kind.REPOSITORY else None).findings
        if each.severity is not lint.Severity.SUGGESTION
    ]
