"""The contents of a declarative file: values that are equal if they mean the same. Policies are in canonical form."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from moorage.errors import InvalidParameter
from moorage.names import AccountId


@dataclass(frozen=True)
class DeclaredPolicy:
    """A managed policy of an account."""

    document: str
    path: str = "/"
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A group."""

    path: str = "/"
    attached: tuple[str, ...] = ()
    """The ARNs of managed policies, sorted."""
    inline: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    """A user."""

    path: str = "/"
    groups: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    inline: dict[str, str] = field(default_factory=dict)
    boundary: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    """A role."""

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
    """A repository."""

    mutability: str = "MUTABLE"
    exclusions: tuple[str, ...] = ()
    scan_on_push: bool = False
    policy: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """The settings of a registry. Every account has one in every region, with these defaults."""

    policy_scope: str = "V2"
    policy: str | None = None


@dataclass(frozen=True)
class Account:
    """What an account contains, by name."""

    policies: dict[str, DeclaredPolicy] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    """By region and repository name."""
    registries: dict[str, Registry] = field(default_factory=dict)
    """By region."""


SECTIONS = ("policies", "groups", "users", "roles", "repositories", "registries")
"""The sections of an account, in the order of creation. Deletion goes in the opposite order."""


@dataclass(frozen=True)
class NewAccount:
    """An account to create, with a key of its root. What it contains is declared separately."""


@dataclass(frozen=True)
class Organization:
    """The organization."""

    document: str
    """JSON in canonical form."""

    @property
    def id(self) -> str:
        return str(json.loads(self.document)["id"])


@dataclass(frozen=True)
class File:
    """A whole file. Accounts that it does not name are not affected."""

    accounts: dict[AccountId, Account] = field(default_factory=dict)
    has_organization: bool = False
    """Whether the file declares the organization, or that there is none."""
    organization: Organization | None = None
    """None, if `has_organization`: there is none."""

    def part(self, accounts: Iterable[AccountId]) -> "File":
        """Return the part about these accounts. InvalidParameter if the file does not name one of them."""
        wanted = set(accounts)
        for each in sorted(wanted - {*self.accounts}):
            raise InvalidParameter(f"The file says nothing of account {each}.")
        return File({account: one for account, one in self.accounts.items() if account in wanted})
