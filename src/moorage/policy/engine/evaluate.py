"""Evaluation: matches every statement with the request, and combines the results.

See docs/development/policy-engine.md §2.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from moorage.policy.engine.answer_cache import AnswerCache, CachedByValues, NoCache, number
from moorage.policy.engine.combination import Ruling, rule
from moorage.policy.engine.decision import Decision, SetTrace
from moorage.policy.engine.request import Policies, Request
from moorage.policy.engine.residual import ResidualSet, residual_sets
from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.operators import is_address
from moorage.policy.matching.principal import Principal
from moorage.policy.matching.statement import Finding, Inquiry, Statement
from moorage.policy.matching.variables import Context

_ADDRESS: Final = "aws:sourceip"
"""A value of it that a proxy reported may not be an address. Any outcome of a condition on it would then be wrong
either in an Allow or in a Deny, so the whole request is denied if a statement that might apply reads it."""
_KINDS: Final = ("root", "user", "role", "federated", "web", "service", "anonymous")
_NO_CACHE: Final = NoCache()
_PLAN: Final = 3000
"""Bytes of a plan. This and the sizes below were measured with tracemalloc (Python 3.11)."""
_STATEMENT: Final = 10
"""Bytes for each statement in it."""
_OPEN: Final = 250
"""Bytes for each open statement."""
_FINDING: Final = 170
"""Bytes of a finding."""


def evaluate(request: Request, policies: Policies, *, detail: bool = False) -> Decision:
    """Decide whether `policies` allow `request`, with the trace of every statement. Never raise.

    `detail` fills the `detail` of each finding: the same evaluation, which then looks at every element of a statement,
    and does not stop at the first that fails. A request that is not valid (an unknown kind of principal, a context
    value that is not text) is denied.
    """
    plan = Plan(request.principal, request.action, policies)
    return plan.decide(request.resource, request.resource_account, request.context, detail=detail)


_Open: TypeAlias = tuple[int, Statement, Finding]
"""A statement that caller and action do not settle: its index among all statements, and the match found so far."""
_Conclusion: TypeAlias = tuple[Ruling, tuple[SetTrace, ...]]
"""The joint result of the findings, and all of them."""


class Plan:
    """The policies that apply to a caller, specialized for an action: created once, evaluated many times.

    Most statements of a policy name other principals or other actions. Which ones do depends on nothing else, so the
    plan settles them, and checks only the others: those that read the same condition keys once for each combination of
    their values. The joint result of all findings is computed once for each combination of findings.
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

    def __init__(self, caller: Principal, action: str, policies: Policies, answers: AnswerCache = _NO_CACHE) -> None:
        """`action`: `service:Name`, in any case. `answers`: the cache for results."""
        self.caller: Final = caller
        self.action: Final = action
        self.policies: Final = policies
        self._inquiry: Final = _inquiry(caller, action, policies)
        self._sets: Final = () if self._inquiry is None else tuple(residual_sets(self._inquiry, policies))
        alike: dict[tuple[tuple[str, ...], bool], list[_Open]] = {}
        for place, (statement, met) in enumerate(each for one in self._sets for each in one.open()):
            alike.setdefault((statement.reads, statement.reads_resource), []).append((place, statement, met))
        conclusions = _Conclusions(caller, policies, self._sets, alike, answers)
        reads = tuple({key: None for keys, _ in alike for key in keys})
        self._reads_address: Final = _ADDRESS in reads
        self._concluded: Final = CachedByValues(
            conclusions.conclude, reads, answers, reads_resource=any(of for _, of in alike)
        )
        self.documents: Final = policies.documents()
        """Return each document of the policies once."""
        statements = sum(len(document.statements) for document in self.documents)
        self.size: Final = _PLAN + _STATEMENT * statements + _OPEN * conclusions.count
        """Bytes, without the documents."""

    def decide(self, resource: str, account: str, context: Context, *, detail: bool = False) -> Decision:
        """Return the decision on a resource (an ARN, or `*`) of `account`, the same that `evaluate` returns."""
        request = Request(self.caller, self.action, resource, account, context)
        if self._inquiry is None or not _is_fit(resource, account, context):
            return _denied_as_invalid(request)
        if self._reads_address:
            address = context.get(_ADDRESS)
            if isinstance(address, str) and not is_address(address):
                return _denied_as_invalid(request)
        try:
            ruling, trace = self._concluded.ask(resource, account, context)
        except UnfitRequestError:
            return _denied_as_invalid(request)
        if detail:
            trace = tuple(
                one.explained(self._inquiry, resource, context, told)
                for one, told in zip(self._sets, trace, strict=True)
            )
        return Decision(request, ruling.allowed, ruling.explicit, ruling.decided_by, ruling.rule, trace)


class _Conclusions:
    """The conclusion from the findings of a plan's open statements. It does not refer to the plan, which holds it."""

    __slots__ = ("_answers", "_caller", "_groups", "_number", "_order", "_policies", "_sets", "count")

    def __init__(
        self,
        caller: Principal,
        policies: Policies,
        sets: tuple[ResidualSet, ...],
        alike: Mapping[tuple[tuple[str, ...], bool], Sequence[_Open]],
        answers: AnswerCache,
    ) -> None:
        """`alike`: the open statements by what they read."""
        self._caller: Final = caller
        self._policies: Final = policies
        self._sets: Final = sets
        self._answers: Final = answers
        self._number: Final = number()
        # A single group reads what the plan reads, whose cache keeps the results for the same values already.
        kept = answers if len(alike) > 1 else _NO_CACHE
        self._groups: Final = tuple([_group(each, kept, *hangs_on) for hangs_on, each in alike.items()])
        places = [place for each in alike.values() for place, _, _ in each]
        self._order: Final = sorted(range(len(places)), key=places.__getitem__)
        self.count: Final = len(places)
        """The number of open statements."""

    def conclude(self, resource: str, account: str, context: Context) -> _Conclusion:
        if not self._groups:  # nothing is open: the plan's cache has the only conclusion
            return self._concluded(account, [])
        found = [finding for group in self._groups for finding in group.ask(resource, account, context)]
        # Findings live as long as their statements, which the plan holds, so nothing else has these ids while the plan
        # exists; no other plan has its number.
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
    """Return the bytes of a result in `Answers` and of its key. Findings are counted as if nothing else held them."""
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
    statements: Sequence[_Open], answers: AnswerCache, reads: tuple[str, ...], reads_resource: bool
) -> CachedByValues[tuple[Finding, ...]]:
    """Return the findings of statements that read the same values."""

    def check(resource: str, _account: str, context: Context) -> tuple[Finding, ...]:
        return tuple([statement.check(resource, context, met) for _, statement, met in statements])

    return CachedByValues(check, reads, answers, reads_resource=reads_resource)


def _inquiry(caller: Principal, action: str, policies: Policies) -> Inquiry | None:
    """Return the caller and action; None for a request that no policy can apply to, or a caller with members that are
    not text."""
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
        and (
            type(context) is dict or isinstance(context, Mapping)
        )  # the second check alone takes longer than all the rest
    )


def _denied_as_invalid(request: Request) -> Decision:
    return Decision(request, False, False, "request", "0-unfit-request", ())
