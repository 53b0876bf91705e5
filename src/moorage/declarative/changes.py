"""What has to change so that what is there becomes what a file says: before and after in, changes out, in order."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from moorage import policy
from moorage.declarative.declaration import SECTIONS, Account, File, NewAccount, Organization, Registry, Role
from moorage.identity.arns import parse_identity
from moorage.names import AccountId

Operation = Literal["create", "update", "delete"]
Key: TypeAlias = tuple[AccountId, Any]
"""An account, and a name in a section of it."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One entity made, changed or deleted."""

    operation: Operation
    account: AccountId | None
    """None: the organisation, which is above accounts."""
    section: str
    """`accounts`, one of `SECTIONS`, or `organization`."""
    name: Any
    """Its key in that section."""
    before: Any = None
    """What it is now; None when it is to be made."""
    after: Any = None
    """What it is to be; None when it is to be deleted."""

    @property
    def aspects(self) -> dict[str, tuple[Any, Any]]:
        """What differs, by the field's name: before and after. What is made as it is by default is left out."""
        found = {}
        for each in dataclasses.fields(self.before if self.after is None else self.after):
            before = None if self.before is None else getattr(self.before, each.name)
            after = None if self.after is None else getattr(self.after, each.name)
            if before != after and (before or after) and (before is not None or after != each.default):
                found[each.name] = (before, after)
        return found

    @property
    def label(self) -> str:
        return "/".join(self.name) if isinstance(self.name, tuple) else str(self.name)


def changes(
    before: Mapping[AccountId, Account | None], now: Organization | None, after: File, *, prune: bool
) -> list[Change]:
    """`before`: the accounts of the file as they are (None: to be made); `now`: the organisation.

    Section after section over all accounts, so that what one names of another is there already. Then, with `prune`,
    what is not declared is deleted, in the opposite order, so that nothing that is deleted is still in use. The
    organisation comes last: its guard rails must not stop the file that sets them half-way.
    """
    there = {account: one or Account() for account, one in before.items()}
    found = [
        Change("create", account, "accounts", account, after=NewAccount())
        for account in sorted(after.accounts)
        if before[account] is None
    ]
    for section in SECTIONS:
        found += _made(section, _keyed(section, there), _keyed(section, after.accounts))
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


def _made(section: str, there: Mapping[Key, Any], declared: Mapping[Key, Any]) -> Iterator[Change]:
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
    """The keys, each after those that its trust policy names: a principal has to be there before it is named.

    Of roles that trust each other, one comes too early whatever the order; the API's refusal says so.
    """
    found: dict[Key, None] = {}
    begun: set[Key] = set()
    for key in roles:
        waiting = [key]  # no recursion: a file may have a chain of a thousand
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
    """The roles that its trust policy names."""
    named = map(parse_identity, policy.parse(role.trust, policy.Kind.TRUST).principals)
    return sorted((said.account, said.name) for said in named if said is not None and said.kind == "role")


def _folded(key: Key) -> Key:
    """Names of identities that differ by case alone are the same; regions and repositories are in lower case anyway."""
    account, name = key
    return account, name.lower() if isinstance(name, str) else name
