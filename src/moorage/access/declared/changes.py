"""What has to change so that an account becomes what its declaration says: two accounts in, changes out, in order."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from moorage import policy
from moorage.access.declared.declaration import SECTIONS, Account, Role
from moorage.identity.arns import parse_identity

Operation = Literal["create", "update", "delete"]


@dataclasses.dataclass(frozen=True)
class Change:
    """One entity made, changed or deleted."""

    operation: Operation
    section: str
    """`policies`, `groups`, `users`, `roles`, `repositories`."""
    name: Any
    """Its key in that section."""
    before: Any = None
    """What it is now; None when it is to be made."""
    after: Any = None
    """What it is to be; None when it is to be deleted."""

    @property
    def aspects(self) -> dict[str, tuple[Any, Any]]:
        """What differs, by the field's name: before and after."""
        one = self.after if self.after is not None else self.before
        found = {}
        for each in dataclasses.fields(one):
            before = None if self.before is None else getattr(self.before, each.name)
            after = None if self.after is None else getattr(self.after, each.name)
            if before != after and (before or after):
                found[each.name] = (before, after)
        return found

    @property
    def label(self) -> str:
        return "/".join(self.name) if isinstance(self.name, tuple) else str(self.name)


def changes(before: Account, after: Account, *, prune: bool) -> list[Change]:
    """Made and changed in the order of `SECTIONS`; then, with `prune`, what is not declared is deleted,
    in the opposite order, so that nothing that is deleted is still in use.
    """
    found = [change for section in SECTIONS for change in _of_section(section, before, after)]
    if prune:
        for section in reversed(SECTIONS):
            declared, there = getattr(after, section), getattr(before, section)
            names = {_folded(each) for each in declared}
            found += [
                Change("delete", section, name, before=there[name])
                for name in sorted(there)
                if _folded(name) not in names
            ]
    return found


def _of_section(section: str, before: Account, after: Account) -> Iterator[Change]:
    there = {_folded(name): (name, one) for name, one in getattr(before, section).items()}
    declared = getattr(after, section)
    names = _trusted_first(declared) if section == "roles" else sorted(declared)
    for name in names:
        wanted = declared[name]
        known = there.get(_folded(name))
        if known is None:
            yield Change("create", section, name, after=wanted)
        elif known[1] != wanted:
            yield Change("update", section, known[0], before=known[1], after=wanted)


def _trusted_first(roles: Mapping[str, Role]) -> list[str]:
    """The names, each after those that its trust policy names: a principal has to be there before it is named.

    Of roles that trust each other, one comes too early whatever the order; the API's refusal says so.
    """
    found: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str) -> None:
        if name in begun:
            return
        begun.add(name)
        named = map(parse_identity, policy.parse(roles[name].trust, policy.Kind.TRUST).principals())
        for trusted in sorted(said.name for said in named if said is not None and said.kind == "role"):
            if trusted in roles:
                visit(trusted)
        found[name] = None

    for name in sorted(roles):
        visit(name)
    return list(found)


def _folded(name: Any) -> Any:
    """Names of identities that differ by case alone are the same; those of repositories are in lower case anyway."""
    return name.lower() if isinstance(name, str) else name
