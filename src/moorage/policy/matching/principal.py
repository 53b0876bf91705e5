"""Principals: the caller, whom a policy names, and how strongly a policy's entry names the caller.

See docs/development/policy-engine.md §2.4.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec

PrincipalKind = Literal["root", "user", "role", "federated", "web", "service", "anonymous"]


class Principal(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """The caller of a request. Fields that do not apply to a kind of principal are empty strings."""

    kind: PrincipalKind
    account: str
    """12 digits; empty for anonymous callers, web identities and services."""
    arn: str
    """The ARN of the user, root, assumed-role session or federated user; the name of a service; `anonymous`. For a web
    identity (authenticated by an OIDC token), the ARN of its provider."""
    id: str
    """`aws:userid`: the account id (root), `AIDA…`, `AROA…:SESSION`, `ACCOUNT:NAME`, `PROVIDER:AUDIENCE:SUBJECT`, or
    `anonymous`."""
    role_arn: str | None = None
    """For a role session: the ARN of the role, with its path."""
    role_id: str | None = None
    """For a role session: `AROA…`."""
    user_name: str | None = None
    """For a user: the friendly name."""
    user_arn: str | None = None
    """For a federated session: the ARN of the user that created it."""
    user_id: str | None = None
    """For a federated session: that user's `AIDA…`."""
    service_linked: bool = False
    """For a role session: whether the role is service-linked. It is a property of the role; no ARN or path implies it.
    """


ANONYMOUS: Final = Principal("anonymous", "", "anonymous", "anonymous")


def root_of(account: str) -> Principal:
    """Return the root of an account (12 digits)."""
    return Principal("root", account, f"arn:aws:iam::{account}:root", account)


# Strengths of a grant, weakest first; 0 is no match.
NONE: Final = 0
ACCOUNT: Final = 1
LIMITED: Final = 2
DIRECT: Final = 3
ANY: Final = 4
SERVICE: Final = 5
FEDERATED: Final = 6
STRENGTHS: Final = ("none", "account", "limited", "direct", "any", "service", "federated")

_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")
_ROOT: Final = re.compile(r"arn:aws[a-z-]{0,16}:iam::([0-9]{12}):root")
_LONGEST_ROOT: Final = 46
"""Characters of a root ARN."""
_ENTITY: Final = re.compile(
    r"arn:aws[a-z-]{0,16}:(?:iam::[0-9]{12}:(?:user|role)/(?:[!-)+->@-~]{1,510}/)?[A-Za-z0-9+=,.@_-]{1,64}"
    r"|sts::[0-9]{12}:(?:assumed-role/[A-Za-z0-9+=,.@_-]{1,64}/[A-Za-z0-9+=,.@_-]{1,64}"
    r"|federated-user/[A-Za-z0-9+=,.@_-]{1,32}))"
)
_UNIQUE_ID: Final = re.compile(r"A(?:IDA|ROA)[A-Z0-9]{12,124}")
_SERVICE: Final = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}")


def account_named(text: str) -> str | None:
    """Return the account id that an `AWS` principal of the account form names (12 digits or the root ARN)."""
    return _known_account(text) if len(text) <= _LONGEST_ROOT else None


@lru_cache(maxsize=2048)
def _known_account(text: str) -> str | None:
    if _ACCOUNT_ID.fullmatch(text):
        return text
    root = _ROOT.fullmatch(text)
    return root[1] if root else None


def is_aws_principal(text: str) -> bool:
    """Return whether `text` is valid under `AWS`: `*`, an account, a user, a role, a session, or a unique id.

    Wildcards inside an ARN and groups are not valid (docs/development/policy-engine.md §2.4).
    """
    return (
        text == "*"
        or account_named(text) is not None
        or _ENTITY.fullmatch(text) is not None
        or _UNIQUE_ID.fullmatch(text) is not None
    )


def is_service_principal(text: str) -> bool:
    """Return whether `text` is valid under `Service`: a host name such as `replication.ecr.amazonaws.com`."""
    return _SERVICE.fullmatch(text) is not None


def is_unique_id(text: str) -> bool:
    """Return whether `text` is a unique id (`AIDA…`, `AROA…`), as stored policies name users and roles."""
    return text.startswith("A") and _UNIQUE_ID.fullmatch(text) is not None


class Principals:
    """A Principal or NotPrincipal element, compiled to be matched with callers."""

    __slots__ = ("accounts", "anyone", "entities", "federated", "negated", "services")

    def __init__(
        self, aws: Iterable[str], services: Iterable[str], federated: Iterable[str] = (), *, negated: bool
    ) -> None:
        """`aws` and `services` have passed `is_aws_principal` and `is_service_principal`.

        `federated`: ARNs of identity providers, which only trust policies name.
        """
        named = set(aws)
        self.negated = negated
        self.anyone = "*" in named
        accounts = {text: account_named(text) for text in named}
        self.accounts = frozenset([account for account in accounts.values() if account is not None])
        self.entities = frozenset([text for text, account in accounts.items() if account is None])
        self.services = frozenset(services)
        self.federated = frozenset(federated)

    def renamed(self, names: Mapping[str, str]) -> "Principals":
        """Return the same element with other names for some users, roles or sessions; itself if it has none of them."""
        if self.entities.isdisjoint(names):
            return self
        other = object.__new__(Principals)  # takes a quarter of the time of `copy`
        other.negated, other.anyone, other.accounts = self.negated, self.anyone, self.accounts
        other.services, other.federated = self.services, self.federated
        other.entities = frozenset([names.get(each, each) for each in self.entities])
        return other

    def strength(self, caller: Principal) -> int:
        """Return how strongly the element matches the caller; NONE if it does not."""
        named = self.named(caller)
        if self.negated:
            return NONE if named else ANY
        return named

    def named(self, caller: Principal) -> int:
        """Return how strongly the entries name the caller, whether the element is Principal or NotPrincipal."""
        kind = caller.kind
        if kind == "service":
            return SERVICE if caller.arn in self.services else ANY if self.anyone else NONE
        if kind == "web":
            return FEDERATED if caller.arn in self.federated else ANY if self.anyone else NONE
        if self.anyone:
            return ANY
        entities = self.entities
        if entities:
            if kind == "user":
                if caller.arn in entities or caller.id in entities:
                    return DIRECT
            elif kind == "role":
                if caller.arn in entities:
                    return DIRECT
                if caller.role_arn in entities or caller.role_id in entities:
                    return LIMITED
            elif kind == "federated":
                if caller.arn in entities:
                    return DIRECT
                if caller.user_arn in entities or caller.user_id in entities:
                    return LIMITED
        return ACCOUNT if caller.account in self.accounts else NONE
