"""What a declarative file says: plain values, equal when they mean the same. Policies are held in canonical form."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from moorage.errors import InvalidParameter
from moorage.names import AccountId


@dataclass(frozen=True)
class DeclaredPolicy:
    """A managed policy of the account."""

    document: str
    path: str = "/"
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    path: str = "/"
    attached: tuple[str, ...] = ()
    """ARNs of managed policies, sorted."""
    inline: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    path: str = "/"
    groups: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    inline: dict[str, str] = field(default_factory=dict)
    boundary: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    trust: str
    path: str = "/"
    description: str = ""
    max_session_seconds: int = 3600
    attached: tuple[str, ...] = ()
    inline: dict[str, str] = field(default_factory=dict)
    boundary: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    mutability: str = "MUTABLE"
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool = False
    policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """What holds for a whole registry. Every account has one in every region; it begins like this."""

    policy_scope: str = "V2"
    policy: str | None = None


@dataclass(frozen=True)
class Account:
    """Everything by its name."""

    policies: dict[str, DeclaredPolicy] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    """By region and name."""
    registries: dict[str, Registry] = field(default_factory=dict)
    """By region."""


SECTIONS = ("policies", "groups", "users", "roles", "repositories", "registries")
"""In the order in which they are made; they are deleted in the opposite one."""


@dataclass(frozen=True)
class NewAccount:
    """An account to be made, with a key of its root. What is in it is declared beside it."""


@dataclass(frozen=True)
class Organization:
    document: str
    """JSON in canonical form."""

    @property
    def id(self) -> str:
        return str(json.loads(self.document)["id"])


@dataclass(frozen=True)
class File:
    """What a whole file says. Of an account that it does not name it says nothing."""

    accounts: dict[AccountId, Account] = field(default_factory=dict)
    has_organization: bool = False
    """Whether it says anything of the organisation."""
    organization: Organization | None = None
    """None, where it does: there is none."""

    def part(self, accounts: Iterable[AccountId]) -> "File":
        """What it says of these accounts, and no more. InvalidParameter for one of which it says nothing."""
        wanted = set(accounts)
        for each in sorted(wanted - {*self.accounts}):
            raise InvalidParameter(f"The file says nothing of account {each}.")
        return File({account: one for account, one in self.accounts.items() if account in wanted})
