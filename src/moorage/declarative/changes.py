"""The changes, in order, that turn the current state into the declared one."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from moorage import policy
from moorage.declarative.declaration import SECTIONS, Account, File, NewAccount, Organization, Registry, Role
from moorage.identity.arns import parse_identity
from moorage.names import AccountId

Operation = Literal["create", "update", "delete"]
Key: TypeAlias = tuple[AccountId, Any]
"""An account, and the name of an entity in one of its sections."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One entity to create, change or delete."""

    operation: Operation
    account: AccountId | None
    """None: the organization, which belongs to no account."""
    section: str
    """`accounts`, one of `SECTIONS`, or `organization`."""
    name: Any
    """The key of the entity in that section."""
    before: Any = None
    """The current state; None if the entity is created."""
    after: Any = None
    """The declared state; None if the entity is deleted."""

    @property
    def aspects(self) -> dict[str, tuple[Any, Any]]:
        """The fields that differ, by name: before and after. Defaults of a created entity are omitted."""
        found = {}
        for each in dataclasses.fields(self.before if self.after is None else self.after):
            before = None if self.before is None else getattr(self.before, each.name)
            after = None if self.after is None else getattr(self.after, each.name)
            if before != after and (before or after) and (before is not None or after != each.default):
                found[each.name] = (before, after)
        return found

    @property
    def label(self) -> str:
        """The name for messages, such as `us-east-1/team/app`."""
        return "/".join(self.name) if isinstance(self.name, tuple) else str(self.name)


def changes(
    before: Mapping[AccountId, Account | None], now: Organization | None, after: File, *, prune: bool
) -> list[Change]:
    """Return the changes from the current accounts of the file (None: to be created) and the current organization.

    The changes go section by section over all accounts, so that whatever an entity refers to exists by then. Then, with
    `prune`, everything that is not declared is deleted, in the opposite order, so that nothing deleted is still in use.
    The organization comes last.
    """
    there = {account: one or Account() for account, one in before.items()}
    found = [
        Change("create", account, "accounts", account, after=NewAccount())
        for account in sorted(after.accounts)
        if before[account] is None
    ]
    for section in SECTIONS:
        found += _declared(section, _keyed(section, there), _keyed(section, after.accounts))
    if prune:
        for section in reversed(SECTIONS):
            found += _pruned(section, _keyed(section, there), _keyed(section, after.accounts))
    if after.has_organization:
        found += _organization(now, after.organization, prune=prune)
    return found


def _keyed(section: str, accounts: Mapping[AccountId, Account]) -> dict[Key, Any]:
    return {
        (account, name): one
        for account in sorted(accounts)
        for name, one in sorted(getattr(accounts[account], section).items())
    }


def _declared(section: str, there: Mapping[Key, Any], declared: Mapping[Key, Any]) -> Iterator[Change]:
    known = {_folded(key): key for key in there}
    for key in _trusted_first(declared) if section == "roles" else declared:
        wanted, old = declared[key], known.get(_folded(key))
        if old is not None:
            if there[old] != wanted:
                yield Change("update", old[0], section, old[1], before=there[old], after=wanted)
        elif wanted != Registry():
            yield Change("create", key[0], section, key[1], after=wanted)


def _pruned(section: str, there: Mapping[Key, Any], declared: Mapping[Key, Any]) -> Iterator[Change]:
    stay = set(map(_folded, declared))
    for key, one in there.items():
        if _folded(key) not in stay:
            yield Change("delete", key[0], section, key[1], before=one)


def _organization(before: Organization | None, after: Organization | None, *, prune: bool) -> Iterator[Change]:
    if before is None and after is not None:
        yield Change("create", None, "organization", after.id, after=after)
    elif before is not None and after is not None and before != after:
        yield Change("update", None, "organization", after.id, before=before, after=after)
    elif before is not None and after is None and prune:
        yield Change("delete", None, "organization", before.id, before=before)


def _trusted_first(roles: Mapping[Key, Role]) -> list[Key]:
    """Return the keys, each after those that its trust policy names, because a principal must exist to be named.

    Of two roles that trust each other, one comes too early in any order, and its step fails.
    """
    found: dict[Key, None] = {}
    begun: set[Key] = set()
    for key in roles:
        waiting = [key]  # not recursive: a file may have a chain of a thousand roles
        while waiting:
            last = waiting[-1]
            first = _trusted(roles[last]) if last not in begun else []
            begun.add(last)
            first = [each for each in first if each in roles and each not in begun]
            if first:
                waiting += reversed(first)
            else:
                found[waiting.pop()] = None
    return list(found)


def _trusted(role: Role) -> list[Key]:
    """Return the keys of the roles that the trust policy names."""
    named = map(parse_identity, policy.parse(role.trust, policy.Kind.TRUST).principals)
    return sorted((each.account, each.name) for each in named if each is not None and each.kind == "role")


def _folded(key: Key) -> Key:
    """Return the key as it is compared. IAM ignores the case of names; regions and repositories are in lower case."""
    account, name = key
    return account, name.lower() if isinstance(name, str) else name
