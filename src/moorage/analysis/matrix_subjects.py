"""The rows of an access matrix: principals that are stored here, principals that policies name, and everyone else."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access.context import Values, of_credential
from moorage.policy.analysis.partial import UnknownKeys
from moorage.policy.catalog.actions import ANONYMOUS

PRINCIPALS_ORGANIZATION_KEYS: Final = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
ORGANIZATION_KEYS: Final = PRINCIPALS_ORGANIZATION_KEYS | {"aws:resourceorgid", "aws:resourceorgpaths"}
"""Condition keys whose values are known if the organization is."""
REQUEST_KEYS: Final = ORGANIZATION_KEYS | {
    "aws:sourceip",
    "aws:securetransport",
    "aws:currenttime",
    "aws:epochtime",
    "aws:useragent",
    "aws:referer",
    "aws:tagkeys",
    "ecr:accountsetting",
}
"""Condition keys that differ between requests of one caller, or are configured elsewhere."""
_SESSION_KEYS: Final = frozenset({"aws:tokenissuetime", "aws:multifactorauthpresent", "aws:multifactorauthage"})
_UNKNOWN_OF_ROOT: Final = UnknownKeys(REQUEST_KEYS | _SESSION_KEYS, ("aws:requesttag/",))
_UNKNOWN_OF_USER: Final = UnknownKeys(_UNKNOWN_OF_ROOT.keys | {"moorage:tokenname"}, _UNKNOWN_OF_ROOT.prefixes)
_UNKNOWN_OF_OTHERS: Final = UnknownKeys(others=True)
_UNNAMED: Final = "(another)"
"""Stands in for the id of an account that no policy names."""
NO_ANONYMOUS: Final = "anonymous callers are refused, because the setting anonymous_pull is off"


class MatrixSubject(msgspec.Struct, frozen=True):
    """A principal, or all principals of a kind, that may call."""

    name: str
    """ARN, or a description of the principals."""
    kind: str
    """`root`, `user`, `role`, `session`, `account`, `any`, `anonymous`, `service`."""
    principal: policy.Principal
    policies: policy.Policies
    """Its own policies."""
    known: Values
    """Condition keys with values that are the same in all its requests."""
    unknown: UnknownKeys
    open_sets: frozenset[policy.SetName] = frozenset()
    """Policy sets that are not known, because its account is not stored here."""
    only: frozenset[str] | None = None
    """The only actions that the server accepts from it; None: all."""
    note: str = ""
    """A remark on the row."""
    organization: str | None = None
    """The id of the organization, if the row stands for members of it."""
    is_private: bool = False
    """Whether the reader may not see the policies of its account."""

    @property
    def is_known(self) -> bool:
        """Whether the policies of its account are known and may be seen."""
        return not self.is_private and self.kind not in {"account", "any"}


def named_in(documents: Iterable[policy.Document], owner: str) -> list[MatrixSubject]:
    """Return the owner's root, and the users, roles, accounts and services that the documents name."""
    texts = dict.fromkeys(text for document in documents for text in document.principals)
    subjects = [account_root(owner)]
    for text in texts:
        if text == "*":
            continue
        account = policy.account_named(text)
        if account is not None:
            subjects += [] if account == owner else [any_of_account(account)]
        else:
            principal = principal_of(text)
            subjects += [] if principal is None else [only_named(text, principal)]
    services = dict.fromkeys(
        service
        for document in documents
        for statement in document.statements
        if statement.principals is not None
        for service in sorted(statement.principals.services)
    )
    return [*subjects, *map(_service, services)]


def account_root(account: str) -> MatrixSubject:
    """Return the root of an account that is stored here."""
    principal = policy.root_of(account)
    return MatrixSubject(
        principal.arn, "root", principal, policy.Policies(), of_credential(principal, None), _UNKNOWN_OF_ROOT
    )


def any_of_account(account: str) -> MatrixSubject:
    """Return all principals of another account, whose identity policies are not known."""
    principal = policy.root_of(account)
    known: Values = {"aws:principalaccount": account}
    return MatrixSubject(
        f"account {account} (those it allows)", "account", principal, policy.Policies(), known, _UNKNOWN_OF_OTHERS
    )


def other_accounts(organization: str | None) -> list[MatrixSubject]:
    """Return all accounts without a row of their own; members of the organization with that id are separate."""
    if organization is None:
        return [_any_account("any other account", {}, None)]
    return [
        _any_account("any other account of the organization", {"aws:principalorgid": organization}, organization),
        _any_account("any other account outside the organization", {}, None),
    ]


def _any_account(name: str, known: Values, organization: str | None) -> MatrixSubject:
    principal = policy.root_of(_UNNAMED)
    return MatrixSubject(
        name, "any", principal, policy.Policies(), known, _UNKNOWN_OF_OTHERS, organization=organization
    )


def anonymous(*, pulls: bool | None = None) -> MatrixSubject:
    """Return callers without credentials. `pulls`: the setting `anonymous_pull`; None if no server is involved."""
    known = of_credential(policy.ANONYMOUS, None)
    subject = MatrixSubject(
        "anonymous", "anonymous", policy.ANONYMOUS, policy.Policies(), known, UnknownKeys(REQUEST_KEYS)
    )
    if pulls is None:
        return subject
    if pulls:
        return msgspec.structs.replace(subject, only=ANONYMOUS)
    return msgspec.structs.replace(subject, only=frozenset(), note=NO_ANONYMOUS)


def _service(name: str) -> MatrixSubject:
    principal = policy.Principal("service", "", name, name)
    return MatrixSubject(name, "service", principal, policy.Policies(), {}, _UNKNOWN_OF_OTHERS)


def user(principal: policy.Principal, policies: policy.Policies, tags: Mapping[str, str]) -> MatrixSubject:
    """Return a user that is stored here, or whose identity policies are given."""
    known = of_credential(principal, None)
    if principal.user_name is not None:
        known["aws:username"] = principal.user_name
    known |= {f"aws:principaltag/{key.lower()}": value for key, value in tags.items()}
    return MatrixSubject(principal.arn, "user", principal, policies, known, _UNKNOWN_OF_USER)


def role(principal: policy.Principal, policies: policy.Policies) -> MatrixSubject:
    """Return the sessions of a role. Their tags, names and policies are not known; policies can only deny more."""
    known = of_credential(principal, None)
    del known["aws:userid"]
    name = principal.role_arn or principal.arn
    return MatrixSubject(name, "role", principal, policies, known, _UNKNOWN_OF_OTHERS)


def only_named(text: str, principal: policy.Principal) -> MatrixSubject:
    """Return a user, role or session of which only the name is known."""
    open_sets: frozenset[policy.SetName] = frozenset({"identity"})
    if principal.kind == "federated":
        open_sets |= {"session"}
    kind = "user" if principal.kind == "user" else "session"
    if principal.role_arn == text:
        kind = "role"
    known: Values = {"aws:principalaccount": principal.account, "aws:principalarn": principal.role_arn or principal.arn}
    return MatrixSubject(text, kind, principal, policy.Policies(), known, _UNKNOWN_OF_OTHERS, open_sets)


def principal_of(arn: str) -> policy.Principal | None:
    """Return the principal that the ARN of a user, role, session or federated user names; None for other texts."""
    segments = arn.split(":", 5)
    if len(segments) != 6 or segments[0] != "arn":
        return None
    account, (form, _, rest) = segments[4], segments[5].partition("/")
    name = rest.rpartition("/")[2]
    match (segments[2], form):
        case ("iam", "user"):
            return policy.Principal("user", account, arn, f"AIDA({name})", user_name=name)
        case ("iam", "role"):
            session = f"arn:aws:sts::{account}:assumed-role/{name}/*"
            return policy.Principal("role", account, session, f"AROA({name}):*", role_arn=arn, role_id=f"AROA({name})")
        case ("sts", "assumed-role"):
            role_name = rest.partition("/")[0]
            role_arn = f"arn:aws:iam::{account}:role/{role_name}"
            return policy.Principal("role", account, arn, f"AROA({role_name}):{name}", role_arn=role_arn)
        case ("sts", "federated-user"):
            return policy.Principal("federated", account, arn, f"{account}:{name}")
        case _:
            return None


def distinct(subjects: Sequence[MatrixSubject]) -> list[MatrixSubject]:
    """Return the first subject of each name, in order."""
    kept: dict[str, MatrixSubject] = {}
    for each in subjects:
        kept.setdefault(each.name, each)
    return list(kept.values())
