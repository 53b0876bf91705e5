"""Tries a proposed repository policy on recorded requests, with the same engine that decides requests.

Each request is evaluated as it was made: with the identity policies, boundary and session policies that its caller had
then, its condition-key values and its time. Only the repository's policy is replaced. Equal requests are evaluated
once.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from moorage import policy
from moorage.access.context import clock
from moorage.access.recovery import recovers_root
from moorage.analysis.progress import Progress
from moorage.analysis.replay_report import ReplayReport
from moorage.analysis.replay_tally import ReplayVerdict, Tally
from moorage.audit.recorded_decisions import RecordedDecision, RecordedDecisions, SharedValueMissing, named_in
from moorage.audit.recorder import Recorder
from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.errors import RepositoryPolicyNotFound
from moorage.names import RepositoryRef
from moorage.registry.repository_policies.service import RepositoryPolicies
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import DecisionSummary

Baseline = Literal["in-force", "recorded"]
"""What the proposed policy is compared with: the policy in force, or the decisions that were made at the time."""

_PAGE_ROWS: Final = 4_000
_VERDICTS: Final = 32 << 20
"""Bytes of the cache of verdicts."""
_SETS: Final = 16 << 20
"""Bytes of the cache of policy sets, with their documents."""
_SETS_AT_ONCE: Final = 64
"""Most different policy sets of the rows that are evaluated together."""
_BOUNDARIES: Final = 4 << 20
"""Bytes of the cache of time boundaries, with their documents."""
_PLANS: Final = 16 << 20
"""Bytes of the cache of plans."""
_ANSWERS: Final = 8 << 20
"""Bytes of the cache of their answers."""
_WITHOUT_POLICY: Final = "ecr:CreateRepository"
"""Decided before the repository exists and has a policy."""
_CALLER_SETS: Final = frozenset({"identity", "boundary", "session", "scp"})

_Key: TypeAlias = tuple[str | int, ...]


class _ComparedSets(msgspec.Struct, frozen=True, gc=False):
    """The policies of a recorded decision, with the repository's policy replaced."""

    before: policy.Policies | None
    """None: the recorded verdict counts."""
    after: policy.Policies
    time_boundaries: tuple[int, ...] | None
    """The seconds at which the policies may begin to decide differently, in order; None: at any second."""


_SetsByHash: TypeAlias = dict[str, _ComparedSets | None]
"""Policy sets by the hash under which they are recorded. None: they are no longer stored."""


def _size_of_sets(_name: str, sets: _ComparedSets | None) -> int:
    return 2000 if sets is None else 2000 + 32 * len(sets.time_boundaries or ())


def _documents_of(sets: _ComparedSets | None) -> Iterable[policy.Document]:
    if sets is None:
        return ()
    compared = [each for each in (sets.before, sets.after) if each is not None]
    return [document for each in compared for document in each.documents()]


class Replays:
    """Prepares replays of recorded requests."""

    def __init__(
        self,
        records: RecordedDecisions,
        recorder: Recorder,
        documents: RepositoryPolicies,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._records = records
        self._recorder = recorder
        self._documents = documents
        self._clock = clock
        self._settings = settings

    async def prepare(
        self,
        ref: RepositoryRef,
        proposed: policy.Document | None,
        *,
        since: float,
        until: float | None = None,
        baseline: Baseline = "in-force",
    ) -> "Replay":
        """Return a replay of the decisions on `ref`, with the policy `proposed` (None: without a policy).

        `since` is inclusive, `until` exclusive (default: now), in seconds since the epoch. Raise RepositoryNotFound.
        """
        before: policy.Document | None = None
        with contextlib.suppress(RepositoryPolicyNotFound):
            before = policy.parse(await self._documents.get(ref), policy.Kind.REPOSITORY)
        await self._recorder.flush()
        policies = ComparedPolicies(
            before, proposed, compares=baseline == "in-force", root_recovers=self._settings.root_recovers
        )
        end = self._clock.now() if until is None else until
        return Replay(self._records, policies, ref.arn, since, end)


class ComparedPolicies:
    """Decides recorded requests on the two policies that are compared."""

    def __init__(
        self, before: policy.Document | None, after: policy.Document | None, *, compares: bool, root_recovers: bool
    ) -> None:
        """`compares`: decide on `before` too; otherwise the recorded verdicts are used for it."""
        self._before = before
        self._after = after
        self._compares = compares
        self._root_recovers = root_recovers
        self._boundaries: Cache[int, tuple[policy.Document, frozenset[int] | None]] = Cache(
            "replay_time_boundaries",
            _BOUNDARIES,
            lambda _, found: 500 + 60 * len(found[1] or ()),
            lambda found: (found[0],),
        )
        self._plans: Cache[tuple[int, policy.Principal, str], policy.Plan] = Cache(
            "replay_plans", _PLANS, lambda _, plan: 500 + plan.size, lambda plan: plan.documents
        )
        self._answers: Cache[tuple[object, ...], Any] = Cache("replay_answers", _ANSWERS, policy.answer_size)

    def sets(self, recorded: policy.Policies) -> _ComparedSets:
        """Return the policy sets to decide on, made from the recorded ones."""
        before = with_repository_policy(recorded, self._before) if self._compares else None
        after = with_repository_policy(recorded, self._after)
        documents = [each.document for sets in (before, after) if sets is not None for each in named_in(sets)]
        return _ComparedSets(before, after, _merged(map(self._time_boundaries, documents)))

    def verdict(self, recorded: RecordedDecision, sets: _ComparedSets) -> ReplayVerdict:
        """Return how the request was and would be decided.

        A row of several equal requests is decided at the time of the first and of the last. If the two verdicts differ,
        the one that changes something counts.
        """
        verdict = self._at(recorded, sets, recorded.first)
        if sets.time_boundaries != () and verdict.before is verdict.after and int(recorded.last) != int(recorded.first):
            return self._at(recorded, sets, recorded.last)
        return verdict

    def _at(self, recorded: RecordedDecision, sets: _ComparedSets, moment: float) -> ReplayVerdict:
        request = recorded.request
        if int(moment) != int(recorded.first):
            context = {**request.context, **clock(int(moment))}
            request = msgspec.structs.replace(request, context=context)
        principal = request.principal.role_arn or request.principal.arn
        source_ip = str(request.context.get("aws:sourceip", ""))
        if request.action == _WITHOUT_POLICY:
            return ReplayVerdict(principal, recorded.allowed, recorded.allowed, "no policy yet", source_ip)
        before = recorded.allowed
        if sets.before is not None:
            decision = self._decide(request, sets.before)
            before = decision.allowed or self._recovers(recorded, decision, sets.before)
        decision = self._decide(request, sets.after)
        if self._recovers(recorded, decision, sets.after):
            return ReplayVerdict(principal, before, True, "root: allowed, to recover from a lock-out", source_ip)
        return ReplayVerdict(principal, before, decision.allowed, _reason(decision), source_ip)

    def _decide(self, request: policy.Request, policies: policy.Policies) -> policy.Decision:
        key = (id(policies), request.principal, request.action)
        plan = self._plans.get(key)
        if plan is None:  # a plan refers to its policies, so that no other object gets their id while it is cached
            plan = policy.Plan(request.principal, request.action, policies, self._answers)
            self._plans.keep(key, plan)
        return plan.decide(request.resource, request.resource_account, request.context)

    def _recovers(self, recorded: RecordedDecision, decision: policy.Decision, sets: policy.Policies) -> bool:
        verified = recorded.caller.credential != "open"
        return self._root_recovers and recovers_root(decision, sets, verified=verified)

    def _time_boundaries(self, document: policy.Document) -> frozenset[int] | None:
        known = self._boundaries.get(id(document))
        if known is None:  # the entry refers to its document, so that no other object gets its id while it is cached
            known = (document, policy.time_boundaries(document))
            self._boundaries.keep(id(document), known)
        return known[1]


class Replay:
    """One replay, ready to run."""

    def __init__(
        self, records: RecordedDecisions, policies: ComparedPolicies, resource: str, since: float, until: float
    ) -> None:
        self._records = records
        self._policies = policies
        self._resource = resource
        self._since = since
        self._until = until
        self._sets: Cache[str, _ComparedSets | None] = Cache("replay_sets", _SETS, _size_of_sets, _documents_of)
        self._verdicts: Cache[_Key, ReplayVerdict | None] = Cache("replay_verdicts", _VERDICTS, entry_footprint)

    async def run(self) -> AsyncIterator[Progress | ReplayReport]:
        """Yield the progress from time to time, and at last the report.

        Requests are evaluated in a thread, so that the event loop is not blocked.
        """
        tally = Tally()
        total = await self._records.count(resource=self._resource, since=self._since, until=self._until)
        yield Progress(0, total)
        read = 0
        pages = self._records.pages(resource=self._resource, since=self._since, until=self._until, page=_PAGE_ROWS)
        async for rows in pages:
            for some in _chunks(rows):
                sets = await self._read_sets(some)
                verdicts = await self._decide_new(some, sets)
                await asyncio.to_thread(self._count, tally, some, sets, verdicts)
            read += len(rows)
            yield Progress(read, max(total, read))
        yield await asyncio.to_thread(tally.report)

    async def _decide_new(self, rows: Sequence[DecisionSummary], sets: _SetsByHash) -> dict[_Key, ReplayVerdict | None]:
        """Return the verdicts on the rows; None for rows that cannot be evaluated again."""
        verdicts, firsts = await asyncio.to_thread(self._known, rows, sets)
        keys = {row.id: key for key, row in firsts.items()}
        whole = await self._records.load(list(firsts.values())) if firsts else []
        decided: dict[_Key, ReplayVerdict | None] = dict.fromkeys(firsts)
        for name, verdict in await asyncio.to_thread(self._decide, whole, sets):
            decided[keys[name]] = verdict
        for key, each in decided.items():
            self._verdicts.keep(key, each)
        return verdicts | decided

    async def _read_sets(self, rows: Sequence[DecisionSummary]) -> _SetsByHash:
        """Return the policy sets of the rows."""
        found: _SetsByHash = {}
        for name in {row.policies for row in rows}:
            if name in self._sets:
                found[name] = self._sets[name]
                continue
            try:
                found[name] = self._policies.sets(await self._records.policies(name))
            except SharedValueMissing:
                found[name] = None
            self._sets.keep(name, found[name])
        return found

    def _known(
        self, rows: Sequence[DecisionSummary], sets: _SetsByHash
    ) -> tuple[dict[_Key, ReplayVerdict | None], dict[_Key, DecisionSummary]]:
        """Return the verdicts that are cached, and the first row for each of the others."""
        known: dict[_Key, ReplayVerdict | None] = {}
        firsts: dict[_Key, DecisionSummary] = {}
        for row in rows:
            key = _key(row, sets[row.policies])
            if key in self._verdicts:
                known[key] = self._verdicts[key]
            else:
                firsts.setdefault(key, row)
        return known, firsts

    def _decide(self, whole: Sequence[RecordedDecision], sets: _SetsByHash) -> list[tuple[str, ReplayVerdict]]:
        decided = []
        for recorded in whole:
            on = sets[recorded.policies]
            if on is not None and _is_replayable(recorded, on):
                decided.append((recorded.id, self._policies.verdict(recorded, on)))
        return decided

    def _count(
        self,
        tally: Tally,
        rows: Sequence[DecisionSummary],
        sets: _SetsByHash,
        verdicts: Mapping[_Key, ReplayVerdict | None],
    ) -> None:
        for row in rows:
            verdict = verdicts[_key(row, sets[row.policies])]
            if verdict is None:
                tally.unreadable += 1
            else:
                tally.add(row, verdict)


def _chunks(rows: Sequence[DecisionSummary]) -> Iterator[Sequence[DecisionSummary]]:
    """Split the rows, in order, so that each chunk has at most `_SETS_AT_ONCE` different policy sets."""
    begin, hashes = 0, set[str]()
    for number, row in enumerate(rows):
        if len(hashes) == _SETS_AT_ONCE and row.policies not in hashes:
            yield rows[begin:number]
            begin, hashes = number, set()
        hashes.add(row.policies)
    yield rows[begin:]


def _key(row: DecisionSummary, sets: _ComparedSets | None) -> _Key:
    """Return what the verdict on a row depends on, besides the policies that are compared."""
    boundaries = () if sets is None else sets.time_boundaries
    same = (row.caller, row.action, row.context, row.policies, row.allowed)
    if boundaries == ():
        return same
    first, last = int(row.at), int(row.last)
    if boundaries is None:
        return (*same, first, last)
    return (*same, bisect_right(boundaries, first), bisect_right(boundaries, last))


def _is_replayable(recorded: RecordedDecision, sets: _ComparedSets) -> bool:
    """Return whether the policies can be evaluated on the recorded request."""
    compared = (sets.after,) if sets.before is None else (sets.before, sets.after)
    return all(recorded.is_replayable(each) for each in compared)


def _merged(boundaries: Iterable[frozenset[int] | None]) -> tuple[int, ...] | None:
    """Return the time boundaries of all documents, in order."""
    points: set[int] = set()
    for each in boundaries:
        if each is None:
            return None
        points |= each
    return tuple(sorted(points))


def with_repository_policy(recorded: policy.Policies, document: policy.Document | None) -> policy.Policies:
    """Return the recorded sets with another repository policy. A registry policy among them stays."""
    others = tuple(each for each in recorded.resource or () if each.document.kind is not policy.Kind.REPOSITORY)
    own = () if document is None else (policy.Named("RepositoryPolicy", "", document),)
    return msgspec.structs.replace(recorded, resource=(*own, *others) or None)


def _reason(decision: policy.Decision) -> str:
    """Return the reason in a few words. Statements of the caller's own policies are not named."""
    if decision.decided_by in _CALLER_SETS and not decision.allowed:
        return f"{decision.decided_by}: {'explicit deny' if decision.explicit else 'no statement allows it'}"
    if decision.decided_by in _CALLER_SETS:
        return f"{decision.decided_by}: allowed"
    return policy.short(decision)
