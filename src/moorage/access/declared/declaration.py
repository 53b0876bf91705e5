"""What a declarative file says: plain values, equal when they mean the same. Policies are held in canonical form."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Managed:
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
class Account:
    """Everything by its name."""

    policies: dict[str, Managed] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    """By region and name."""


SECTIONS = ("policies", "groups", "users", "roles", "repositories")
"""In the order in which they are made; they are deleted in the opposite one."""
