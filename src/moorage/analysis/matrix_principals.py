"""Who may come to a repository: those kept here, those that policies name, and everybody else, as rows of a matrix."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access.context import Values, of_credential
from moorage.policy.analysis.partial import Unknown
from moorage.policy.catalog.actions import ANONYMOUS

PRINCIPALS_ORGANIZATION_KEYS: Final = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
ORGANIZATION_KEYS: Final = PRINCIPALS_ORGANIZATION_KEYS | {"aws:resourceorgid", "aws:resourceorgpaths"}
"""Known where the organisation is."""
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
"""What differs from request to request of one caller, or is configured elsewhere."""
_SESSION_KEYS: Final = frozenset({"aws:tokenissuetime", "aws:multifactorauthpresent", "aws:multifactorauthage"})
_OF_A_ROOT: Final = Unknown(REQUEST_KEYS | _SESSION_KEYS, ("aws:requesttag/",))
_OF_A_USER: Final = Unknown(_OF_A_ROOT.keys | {"moorage:tokenname"}, _OF_A_ROOT.prefixes)
_OF_ANYBODY: Final = Unknown(others=True)
_UNNAMED: Final = "(another)"
"""In place of an account's id: no policy names it."""
NO_ANONYMOUS: Final = "without credentials nobody gets in: the setting anonymous_pull is off"


class Person(msgspec.Struct, frozen=True):
    """A row: somebody, or everybody of a kind, who may come."""

    name: str
    """ARN, or what the row stands for."""
    kind: str
    """`root`, `user`, `role`, `session`, `account`, `any`, `anonymous`, `service`."""
    principal: policy.Principal
    policies: policy.Policies
    """Those that come with it; the repository's is put beside them."""
    known: Values
    """Condition keys whose values are the same in all its requests."""
    unknown: Unknown
    open_sets: frozenset[policy.SetName] = frozenset()
    """Of somebody whose account is not kept here."""
    only: frozenset[str] | None = None
    """The actions that the server lets it ask for at all. None: all."""
    note: str = ""
    """What else must be said of the row."""
    organization: str | None = None
    """Of whoever stands for any member of an organisation: its id."""
    discreet: bool = False
    """Whether the policies of its account are no business of whoever asks."""

    @property
    def is_known(self) -> bool:
        """Whether the policies that its account makes count; else they are unknown here, or its own business."""
        return not self.discreet and self.kind not in {"account", "any"}


def named_in(documents: Iterable[policy.Document], owner: str) -> list[Person]:
    """The owner's root, and whoever the documents name without being kept here: users, roles, accounts, services."""
    texts = dict.fromkeys(text for document in documents for text in document.principals)
    people = [account_root(owner)]
    for text in texts:
        if text == "*":
            continue
        account = policy.account_named(text)
        if account is not None:
            people += [] if account == owner else [any_of_account(account)]
        else:
            principal = principal_of(text)
            people += [] if principal is None else [only_named(text, principal)]
    services = dict.fromkeys(
        service
        for document in documents
        for statement in document.statements
        if statement.principals is not None
        for service in sorted(statement.principals.services)
    )
    return [*people, *map(_service, services)]


def account_root(account: str) -> Person:
    """The root of the account that owns the repository."""
    principal = policy.root_of(account)
    return Person(principal.arn, "root", principal, policy.Policies(), of_credential(principal, None), _OF_A_ROOT)


def any_of_account(account: str) -> Person:
    """Whoever another account lets: its own identity policies are its business."""
    principal = policy.root_of(account)
    known: Values = {"aws:principalaccount": account}
    return Person(f"account {account} (whoever it lets)", "account", principal, policy.Policies(), known, _OF_ANYBODY)


def other_accounts(organization: str | None) -> list[Person]:
    """All the accounts that have no row of their own: with an organisation (its id), its members apart."""
    if organization is None:
        return [_any_account("any other account", {}, None)]
    return [
        _any_account("any other account of the organisation", {"aws:principalorgid": organization}, organization),
        _any_account("any other account outside the organisation", {}, None),
    ]


def _any_account(name: str, known: Values, organization: str | None) -> Person:
    principal = policy.root_of(_UNNAMED)
    return Person(name, "any", principal, policy.Policies(), known, _OF_ANYBODY, organization=organization)


def anonymous(*, pulls: bool | None = None) -> Person:
    """Whoever brings no credentials. `pulls`: the setting `anonymous_pull`; None: no server is asked about."""
    known = of_credential(policy.ANONYMOUS, None)
    person = Person("anonymous", "anonymous", policy.ANONYMOUS, policy.Policies(), known, Unknown(REQUEST_KEYS))
    if pulls is None:
        return person
    if pulls:
        return msgspec.structs.replace(person, only=ANONYMOUS)
    return msgspec.structs.replace(person, only=frozenset(), note=NO_ANONYMOUS)


def _service(name: str) -> Person:
    principal = policy.Principal("service", "", name, name)
    return Person(name, "service", principal, policy.Policies(), {}, _OF_ANYBODY)


def user(principal: policy.Principal, policies: policy.Policies, tags: Mapping[str, str]) -> Person:
    """A user that is kept here, or whose identity policies are given."""
    known = of_credential(principal, None)
    if principal.user_name is not None:
        known["aws:username"] = principal.user_name
    known |= {f"aws:principaltag/{key.lower()}": value for key, value in tags.items()}
    return Person(principal.arn, "user", principal, policies, known, _OF_A_USER)


def role(principal: policy.Principal, policies: policy.Policies) -> Person:
    """The sessions of a role. Session policies can only take away; session tags and names are not known."""
    known = of_credential(principal, None)
    del known["aws:userid"]
    name = principal.role_arn or principal.arn
    return Person(name, "role", principal, policies, known, _OF_ANYBODY)


def only_named(text: str, principal: policy.Principal) -> Person:
    """A user, role or session of whom only the name is known."""
    open_sets: frozenset[policy.SetName] = frozenset({"identity"})
    if principal.kind == "federated":
        open_sets |= {"session"}
    kind = "user" if principal.kind == "user" else "session"
    if principal.role_arn == text:
        kind = "role"
    known: Values = {"aws:principalaccount": principal.account, "aws:principalarn": principal.role_arn or principal.arn}
    return Person(text, kind, principal, policy.Policies(), known, _OF_ANYBODY, open_sets)


def principal_of(arn: str) -> policy.Principal | None:
    """The caller that an ARN of a user, role, session or federated user names; None for another text."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    account, (form, _, rest) = parts[4], parts[5].partition("/")
    name = rest.rpartition("/")[2]
    match (parts[2], form):
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


def distinct(people: Sequence[Person]) -> list[Person]:
    """Each name once; who is kept here (first) over who is only named."""
    kept: dict[str, Person] = {}
    for each in people:
        kept.setdefault(each.name, each)
    return list(kept.values())
