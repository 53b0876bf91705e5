"""The decision: every statement is read against the request, and what they say is combined
(docs/development/policy-engine.md §2)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from moorage.policy.engine.answer_cache import Answers, ByValues, Forgetful, number
from moorage.policy.engine.combination import Ruling, rule
from moorage.policy.engine.decision import Decision, SetTrace
from moorage.policy.engine.request import Policies, Request
from moorage.policy.engine.residual import NarrowedSet, narrowed_sets
from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.operators import is_address
from moorage.policy.matching.principal import Principal
from moorage.policy.matching.statement import Finding, Inquiry, Statement
from moorage.policy.matching.variables import Context

_ADDRESS: Final = "aws:sourceip"
"""What a proxy says of it may be no address. Any outcome of a condition on it would then be wrong in an Allow or in a
Deny, so a request is denied as a whole where a statement that might apply reads it."""
_KINDS: Final = ("root", "user", "role", "federated", "web", "service", "anonymous")
_FORGETFUL: Final = Forgetful()
_PLAN: Final = 3000
"""Bytes of a plan; with the two below measured with tracemalloc (Python 3.11)."""
_STATEMENT: Final = 10
"""Of a statement's place in it."""
_OPEN: Final = 250
"""Of a statement that is open."""
_FINDING: Final = 170
"""Of a finding."""


def evaluate(request: Request, policies: Policies, *, detail: bool = False) -> Decision:
    """Whether `request` is allowed by `policies`, with the trace of every statement. Never raises.

    `detail` fills each finding's `detail`: the same evaluation, which then looks at every element of a statement
    rather than stopping at the first that fails. A request that cannot be read (an unknown kind of principal, a
    context value that is not text) is denied.
    """
    plan = Plan(request.principal, request.action, policies)
    return plan.decide(request.resource, request.resource_account, request.context, detail=detail)


_Open: TypeAlias = tuple[int, Statement, Finding]
"""A statement that is not settled by caller and action: its place among them, and the match found so far."""
_Conclusion: TypeAlias = tuple[Ruling, tuple[SetTrace, ...]]
"""What the findings say together, and all of them."""


class Plan:
    """The policies that apply to a caller, narrowed down to an action: made once, asked again and again.

    Most statements of a policy name other principals or other actions. Which ones depends on nothing else, so a plan
    has settled it, and checks only the others: those that read the same condition keys once for each combination of
    their values. What all findings say together is concluded once for each combination of findings.
    """

    __slots__ = (
        "_concluded",
        "_inquiry",
        "_reads_address",
        "_sets",
        "action",
        "caller",
        "documents",
        "policies",
        "size",
    )

    def __init__(self, caller: Principal, action: str, policies: Policies, answers: Answers = _FORGETFUL) -> None:
        """`action`: `service:Name`, in any case. `answers`: where to keep what was found out."""
        self.caller: Final = caller
        self.action: Final = action
        self.policies: Final = policies
        self._inquiry: Final = _inquiry(caller, action, policies)
        self._sets: Final = () if self._inquiry is None else tuple(narrowed_sets(self._inquiry, policies))
        alike: dict[tuple[tuple[str, ...], bool], list[_Open]] = {}
        for place, (statement, met) in enumerate(each for one in self._sets for each in one.open()):
            alike.setdefault((statement.reads, statement.reads_resource), []).append((place, statement, met))
        conclusions = _Conclusions(caller, policies, self._sets, alike, answers)
        reads = tuple({key: None for keys, _ in alike for key in keys})
        self._reads_address: Final = _ADDRESS in reads
        self._concluded: Final = ByValues(
            conclusions.conclude, reads, answers, reads_resource=any(of for _, of in alike)
        )
        self.documents: Final = policies.documents()
        """Each document of the policies once."""
        statements = sum(len(document.statements) for document in self.documents)
        self.size: Final = _PLAN + _STATEMENT * statements + _OPEN * conclusions.count
        """Bytes, without the documents."""

    def decide(self, resource: str, account: str, context: Context, *, detail: bool = False) -> Decision:
        """The decision on a resource (an ARN, or `*`) of `account`, as `evaluate` makes it."""
        request = Request(self.caller, self.action, resource, account, context)
        if self._inquiry is None or not _is_fit(resource, account, context):
            return _unfit(request)
        if self._reads_address:
            address = context.get(_ADDRESS)
            if isinstance(address, str) and not is_address(address):
                return _unfit(request)
        try:
            ruling, trace = self._concluded.ask(resource, account, context)
        except UnfitRequestError:
            return _unfit(request)
        if detail:
            trace = tuple(
                one.explained(self._inquiry, resource, context, told)
                for one, told in zip(self._sets, trace, strict=True)
            )
        return Decision(request, ruling.allowed, ruling.explicit, ruling.decided_by, ruling.rule, trace)


class _Conclusions:
    """What follows from the findings of a plan's open statements. It knows nothing of the plan, which holds it."""

    __slots__ = ("_answers", "_caller", "_groups", "_number", "_order", "_policies", "_sets", "count")

    def __init__(
        self,
        caller: Principal,
        policies: Policies,
        sets: tuple[NarrowedSet, ...],
        alike: Mapping[tuple[tuple[str, ...], bool], Sequence[_Open]],
        answers: Answers,
    ) -> None:
        """`alike`: the open statements by what they read."""
        self._caller: Final = caller
        self._policies: Final = policies
        self._sets: Final = sets
        self._answers: Final = answers
        self._number: Final = number()
        # A lone group reads what the plan reads, whose `ByValues` keeps all that comes of the same values.
        kept = answers if len(alike) > 1 else _FORGETFUL
        self._groups: Final = tuple([_group(each, kept, *hangs_on) for hangs_on, each in alike.items()])
        places = [place for each in alike.values() for place, _, _ in each]
        self._order: Final = sorted(range(len(places)), key=places.__getitem__)
        self.count: Final = len(places)
        """Statements that are open."""

    def conclude(self, resource: str, account: str, context: Context) -> _Conclusion:
        if not self._groups:  # nothing is open: `ByValues` keeps the one conclusion
            return self._concluded(account, [])
        found = [finding for group in self._groups for finding in group.ask(resource, account, context)]
        # Findings live as long as their statements, which the plan holds, so that nothing else has these ids while the
        # plan is asked; no other plan has its number.
        key = (self._number, account, *map(id, found))
        known: _Conclusion | None = self._answers.get(key)
        if known is None:
            known = self._concluded(account, found)
            self._answers.keep(key, known)
        return known

    def _concluded(self, account: str, found: Sequence[Finding]) -> _Conclusion:
        in_order = iter([found[at] for at in self._order])
        trace = tuple([one.trace(in_order) for one in self._sets])
        return rule(self._caller, account, self._policies, trace), trace


def answer_size(key: tuple[object, ...], answer: Any) -> int:
    """Bytes of an answer that `Answers` keeps, and its key. Findings are counted as if nothing else held them."""
    size = 500 + 40 * len(key)
    for part in key:
        if type(part) is str:
            size += 4 * len(part)
    if type(answer[0]) is Finding:
        return size + _FINDING * len(answer)
    for one in answer[1]:
        size += 200
        for policy in one.policies:
            size += 200 + _FINDING * len(policy.statements)
    return size


def _group(
    statements: Sequence[_Open], answers: Answers, reads: tuple[str, ...], reads_resource: bool
) -> ByValues[tuple[Finding, ...]]:
    """The findings of statements that read the same."""

    def check(resource: str, _account: str, context: Context) -> tuple[Finding, ...]:
        return tuple([statement.check(resource, context, met) for _, statement, met in statements])

    return ByValues(check, reads, answers, reads_resource=reads_resource)


def _inquiry(caller: Principal, action: str, policies: Policies) -> Inquiry | None:
    """None for what no policy can be asked: also for a caller whose members are not all texts."""
    try:
        hash(caller)
    except TypeError:
        return None
    if isinstance(action, str) and isinstance(caller, Principal) and caller.kind in _KINDS:
        return Inquiry(caller, action.lower(), policies.boundary is not None)
    return None


def _is_fit(resource: str, account: str, context: Context) -> bool:
    return (
        isinstance(resource, str)
        and isinstance(account, str)
        and (type(context) is dict or isinstance(context, Mapping))  # the second alone takes longer than all the rest
    )


def _unfit(request: Request) -> Decision:
    return Decision(request, False, False, "request", "0-unfit-request", ())
