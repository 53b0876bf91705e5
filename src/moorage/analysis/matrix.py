"""Who may do what with a repository, as a matrix: yes, no, or what it depends on; and how two of them differ."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access.context import Values
from moorage.access.recovery import is_way_out
from moorage.analysis.matrix_principals import Person
from moorage.policy.analysis.partial import Answer, Clause, Hanging, Possibilities, Verdict
from moorage.policy.catalog.actions import ADMINISTER, DELETE, PULL, PUSH, SIGN_IN

CAPABILITIES: Final = ("pull", "push", "delete", "administer")
"""All actions of the first three are needed; of `administer`, one makes it."""
ACTIONS: Final = (
    SIGN_IN,
    *policy.ON_REPOSITORY,
)
WORDS: Final = {Verdict.YES: "yes", Verdict.NO: "no", Verdict.DEPENDS: "depends"}


class Place(msgspec.Struct, frozen=True):
    """A repository, with the policy it has or would have."""

    arn: str
    account: str
    region: str
    tags: Mapping[str, str]
    policy: policy.Named | None
    root_recovers: bool = False

    def asked_of(self, person: Person, action: str) -> tuple[str, str]:
        """The resource that an action is decided on, and its account: signing in is asked of one's own registry."""
        if action == SIGN_IN:
            return "*", person.principal.account or self.account
        return self.arn, self.account


class Surroundings(msgspec.Struct, frozen=True):
    """What counts at one action beside a caller's own policies and the repository's: none of it, without a server."""

    registry: tuple[policy.Named, ...] = ()
    """The registry policy, where it has a say."""
    scp: Sequence[Sequence[policy.Named]] | None = None
    rcp: Sequence[Sequence[policy.Named]] | None = None
    keys: Mapping[str, str | tuple[str, ...]] = {}
    """The organisation's condition keys."""
    absent: frozenset[str] = frozenset()
    """Those of them that such a request is known not to have."""
    open_sets: frozenset[policy.SetName] = frozenset()
    """The guard rails that are not known."""


_NOTHING: Final = Surroundings()
_NO: Final = Answer(Verdict.NO, frozenset(), frozenset())


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
            for action, answer in answers.items():
                if answer.verdict is Verdict.DEPENDS:
                    conditions |= dict.fromkeys(words(answer, self.person, action))
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

    def row(self, person: Person, place: Place, around: Mapping[str, Surroundings] | None = None) -> Row:
        """What the person may do there. `around`: by action; what has none is decided without."""
        around = around or {}
        answers = {action: self._answer(person, place, action, around.get(action, _NOTHING)) for action in ACTIONS}
        return Row(person, place, answers)

    def _answer(self, person: Person, place: Place, action: str, around: Surroundings) -> Answer:
        if person.only is not None and action not in person.only:
            return _NO
        resource, account = place.asked_of(person, action)
        context: Values = {**person.known, **around.keys, "aws:requestedregion": place.region, **self._given}
        context["aws:resourceaccount"] = account
        if action != SIGN_IN:
            for key, value in place.tags.items():
                context[f"aws:resourcetag/{key.lower()}"] = context[f"ecr:resourcetag/{key.lower()}"] = value
        request = policy.Request(person.principal, action, resource, account, context)
        attached = around.registry
        if action != SIGN_IN and place.policy is not None:
            attached = (place.policy, *attached)
        if place.root_recovers and is_way_out(request, verified=True):
            attached = ()
        policies = msgspec.structs.replace(person.policies, resource=attached or None, scp=around.scp, rcp=around.rcp)
        unknown = person.unknown
        if around.absent:
            unknown = msgspec.structs.replace(unknown, absent=around.absent)
        return self._possibilities.ask(request, policies, unknown, person.open_sets | around.open_sets)


def widened(before: Row, after: Row) -> list[Widened]:
    """The actions of which `after` may allow more than `before`; none is overlooked."""
    found = []
    for action, now in after.answers.items():
        was = before.answers[action]
        if now.may_exceed(was):
            certain = Verdict.NO is was.verdict and Verdict.YES is now.verdict
            name = after.person.name
            said = words(now, after.person, action)
            found.append(Widened(name, action, WORDS[was.verdict], WORDS[now.verdict], said, certain))
    return found


def words(answer: Answer, person: Person, action: str) -> list[str]:
    """What an answer depends on, for people; what is no business of theirs is not spelled out."""
    hidden = _hidden(person, action)
    clauses = answer.conditions()
    said = [_clause(each) for each in clauses if each.set not in hidden]
    if not answer.open_sets.isdisjoint(_GUARD_RAILS):
        said.append("the guard rails of the caller's account, which are not the same for all")
    elif any(each.set in hidden for each in clauses):
        said.append(f"the guard rails of account {person.principal.account}")
    if "identity" in answer.open_sets:
        said.append("the policies of the caller's account, which are not known here")
    elif "session" in answer.open_sets:
        said.append("the session's policies, which are not known here")
    return said


_GUARD_RAILS: Final[frozenset[policy.SetName]] = frozenset({"scp", "rcp"})


def _hidden(person: Person, action: str) -> frozenset[policy.SetName]:
    """Of whose clauses only is said that there are some: signing in, all guard rails are of the caller's account."""
    if not person.discreet:
        return frozenset()
    return _GUARD_RAILS if action == SIGN_IN else frozenset({"scp"})


_OPPOSITES: Final[Mapping[str, str]] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
}
_OPPOSITE: Final = {**_OPPOSITES, **{positive: negated for negated, positive in _OPPOSITES.items()}}
"""By operator, the one that holds exactly when it does not; also without the key."""


def _clause(clause: Clause) -> str:
    """A Deny with a negated test is told by what the request needs, so that no reader has to undo two negations."""
    tests = sorted(clause.conditions)
    if not clause.allows and any(_operator(each) in _OPPOSITES for each in tests):
        needed = [_OPPOSITE.get(_operator(each)) for each in tests]
        if None not in needed:
            return "if " + " or ".join(_test(name or "", each) for name, each in zip(needed, tests, strict=True))
    return f"{'if' if clause.allows else 'unless'} {' and '.join(_test(each.operator, each) for each in tests)}"


def _operator(test: Hanging) -> str:
    """Its operator; IfExists makes no difference to a negated one, which holds without the key anyway."""
    plain = test.operator.removesuffix("IfExists")
    return plain if plain in _OPPOSITES else test.operator


def _test(operator: str, test: Hanging) -> str:
    return f"{operator} {test.key} {', '.join(test.values)}".replace("  ", " ")
