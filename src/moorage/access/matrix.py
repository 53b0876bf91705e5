"""Who may do what with a repository, as a matrix: yes, no, or what it depends on; and how two of them differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access.context import Values, of_credential
from moorage.policy.possible import Answer, Clause, Possibilities, Unknown, Verdict

SIGN_IN: Final = "ecr:GetAuthorizationToken"
PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
)
DELETE: Final = ("ecr:BatchDeleteImage",)
ADMINISTER: Final = (
    "ecr:SetRepositoryPolicy",
    "ecr:DeleteRepositoryPolicy",
    "ecr:DeleteRepository",
    "ecr:PutImageTagMutability",
    "ecr:PutLifecyclePolicy",
    "ecr:TagResource",
    "ecr:UntagResource",
)
CAPABILITIES: Final = ("pull", "push", "delete", "administer")
"""All actions of the first three are needed; of `administer`, one makes it."""
ACTIONS: Final = (
    SIGN_IN,
    *(f"ecr:{name}" for name, action in policy.ECR_ACTIONS.items() if action.resource == "repository"),
)
WORDS: Final = {Verdict.YES: "yes", Verdict.NO: "no", Verdict.DEPENDS: "depends"}

REQUEST_KEYS: Final = frozenset(
    {
        "aws:sourceip",
        "aws:securetransport",
        "aws:currenttime",
        "aws:epochtime",
        "aws:useragent",
        "aws:referer",
        "aws:tagkeys",
        "ecr:accountsetting",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:resourceorgid",
        "aws:resourceorgpaths",
    }
)
"""What differs from request to request of one caller, or is configured elsewhere."""
_SESSION_KEYS: Final = frozenset({"aws:tokenissuetime", "aws:multifactorauthpresent", "aws:multifactorauthage"})
_OF_A_USER: Final = Unknown(REQUEST_KEYS | _SESSION_KEYS, ("aws:requesttag/",))
_OF_ANYBODY: Final = Unknown(others=True)
_UNNAMED: Final = "999999999999"


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


class Place(msgspec.Struct, frozen=True):
    """A repository, with the policy it has or would have."""

    arn: str
    account: str
    region: str
    tags: Mapping[str, str]
    policies: tuple[policy.Named, ...] | None
    root_recovers: bool = False


class Cell(msgspec.Struct, frozen=True, rename="camel"):
    """The answer for one capability."""

    answer: str
    """`yes`, `no`, `depends`."""
    conditions: list[str]
    """What it depends on, in words."""
    missing: list[str]
    """Actions that are certainly not allowed."""


class Row(msgspec.Struct, frozen=True):
    """What a person may do in a place, action by action."""

    person: Person
    place: Place
    answers: Mapping[str, Answer]

    def cell(self, capability: str) -> Cell:
        """One of CAPABILITIES."""
        actions = needed(capability, self.person.kind)
        answers = {action: self.answers[action] for action in actions}
        pick = max if capability == "administer" else min
        verdict = pick(answer.verdict for answer in answers.values())
        conditions: dict[str, None] = {}
        if verdict is Verdict.DEPENDS:
            for answer in answers.values():
                if answer.verdict is Verdict.DEPENDS:
                    conditions |= dict.fromkeys(words(answer))
        missing = [action for action, answer in answers.items() if answer.verdict is Verdict.NO]
        return Cell(WORDS[verdict], list(conditions), missing)


class Widened(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody may do more than before, or might under some condition."""

    who: str
    action: str
    before: str
    after: str
    conditions: list[str]
    certain: bool
    """Whether it is sure to allow more; else it could not be ruled out."""


def needed(capability: str, kind: str) -> tuple[str, ...]:
    """The actions a capability asks for. Whoever is nobody signs in with nothing, services do not sign in at all."""
    sign_in = () if kind in {"anonymous", "service"} else (SIGN_IN,)
    own = {"pull": (*sign_in, *PULL), "push": (*sign_in, *PUSH), "delete": DELETE, "administer": ADMINISTER}
    return own[capability]


class Matrix:
    """Fills rows; keeps what was made of each policy."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        """`given`: condition keys (any case) that are fixed for the question, such as aws:SourceIp."""
        self._given = {key.lower(): value for key, value in (given or {}).items()}
        self._possibilities = Possibilities()

    def row(self, person: Person, place: Place) -> Row:
        """What the person may do there."""
        policies = msgspec.structs.replace(person.policies, resource=place.policies)
        known: Values = {**person.known, "aws:requestedregion": place.region, **self._given}
        there = {**known, "aws:resourceaccount": place.account}
        for key, value in place.tags.items():
            there[f"aws:resourcetag/{key.lower()}"] = there[f"ecr:resourcetag/{key.lower()}"] = value
        answers = {}
        for action in ACTIONS:
            if action == SIGN_IN:
                account = person.principal.account or place.account
                values = {**known, "aws:resourceaccount": account}
                request = policy.Request(person.principal, action, "*", account, values)
                alone = msgspec.structs.replace(policies, resource=None)
                answer = self._possibilities.ask(request, alone, person.unknown, person.open_sets)
            else:
                request = policy.Request(person.principal, action, place.arn, place.account, there)
                answer = self._possibilities.ask(request, policies, person.unknown, person.open_sets)
            if place.root_recovers and person.kind == "root" and action in _RECOVERING:
                answer = Answer(Verdict.YES, frozenset(), frozenset(), root=True)
            answers[action] = answer
        return Row(person, place, answers)


_RECOVERING: Final = frozenset({"ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"})


def widened(before: Row, after: Row) -> list[Widened]:
    """The actions of which `after` may allow more than `before`; none is overlooked."""
    found = []
    for action, now in after.answers.items():
        was = before.answers[action]
        if now.may_exceed(was):
            certain = Verdict.NO is was.verdict and Verdict.YES is now.verdict
            name = after.person.name
            found.append(Widened(name, action, WORDS[was.verdict], WORDS[now.verdict], words(now), certain))
    return found


def words(answer: Answer) -> list[str]:
    """What an answer depends on, for people."""
    said = [_clause(each) for each in answer.conditions()]
    if "identity" in answer.open_sets:
        said.append("the identity policies of the caller's account, which are not known here")
    elif answer.open_sets:
        said.append("the session's policies, which are not known here")
    return said


def _clause(clause: Clause) -> str:
    tests = " and ".join(
        f"{each.operator} {each.key} {', '.join(each.values)}".replace("  ", " ") for each in sorted(clause.conditions)
    )
    return f"{'if' if clause.allows else 'unless'} {tests}"


# --- Who may come ---


def named_in(documents: Iterable[policy.Document], owner: str) -> list[Person]:
    """Whoever the documents let come without being kept here: named ones, whole accounts, everybody, services."""
    texts = dict.fromkeys(text for document in documents for text in document.principals())
    people = [account_root(owner)]
    for text in texts:
        if text == "*":
            continue
        account = policy.account_named(text)
        if account is not None:
            people += [] if account == owner else [any_of_account(account)]
        else:
            person = _by_arn(text)
            people += [] if person is None else [person]
    services = dict.fromkeys(
        service
        for document in documents
        for statement in document.statements
        if statement.principals is not None
        for service in sorted(statement.principals.services)
    )
    people += [_service(service) for service in services]
    return [*people, _any_account(), anonymous()]


def account_root(account: str) -> Person:
    """The root of the account that owns the repository."""
    principal = policy.Principal("root", account, f"arn:aws:iam::{account}:root", account)
    return Person(principal.arn, "root", principal, policy.Policies(), of_credential(principal, None), _OF_A_USER)


def any_of_account(account: str) -> Person:
    """Whoever another account lets: its own identity policies are its business."""
    principal = policy.Principal("root", account, f"arn:aws:iam::{account}:root", account)
    known: Values = {"aws:principalaccount": account}
    return Person(f"account {account} (whoever it lets)", "account", principal, policy.Policies(), known, _OF_ANYBODY)


def _any_account() -> Person:
    principal = policy.Principal("root", _UNNAMED, f"arn:aws:iam::{_UNNAMED}:root", _UNNAMED)
    return Person("any other account", "any", principal, policy.Policies(), {}, _OF_ANYBODY)


def anonymous() -> Person:
    """Whoever brings no credentials."""
    known = of_credential(policy.ANONYMOUS, None)
    return Person("anonymous", "anonymous", policy.ANONYMOUS, policy.Policies(), known, Unknown(REQUEST_KEYS))


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


def _by_arn(text: str) -> Person | None:
    """Somebody of whom only the name is known. None for an id of somebody deleted."""
    principal = principal_of(text)
    if principal is None:
        return None
    open_sets: frozenset[policy.SetName] = frozenset({"identity"})
    if principal.kind == "federated":
        open_sets |= {"session"}
    kind = "user" if principal.kind == "user" else "role" if principal.arn.endswith("/*") else "session"
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
