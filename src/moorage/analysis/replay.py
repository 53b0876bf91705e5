"""A proposed repository policy tried on the recorded requests, by the same engine that decides them.

Each request is evaluated as it was asked: its caller with the identity policies, boundary and session policies of that
moment, its condition-key values, its time. Only the repository's policy is another. Equal requests are evaluated once.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from moorage import policy
from moorage.access.context import clock
from moorage.access.recovery import may_recover
from moorage.analysis.replay_tally import Report, Tally, Verdict
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
"""What the proposed policy is compared with: the one in force now, or what was decided when the request was made."""

_PAGE: Final = 4_000
_VERDICTS: Final = 32 << 20
"""Bytes of verdicts that are cached."""
_SETS: Final = 16 << 20
"""Bytes of policy sets that are cached, with their documents."""
_PARTS: Final = 64
_POINTS: Final = 4 << 20
"""Bytes of turning points that are cached, with their documents."""
_PLANS: Final = 16 << 20
"""Bytes of plans that are cached."""
_ANSWERS: Final = 8 << 20
"""Bytes of what they found out."""
_WITHOUT_POLICY: Final = "ecr:CreateRepository"
"""Decided on a repository that is not there yet, and has no policy."""
_OWN_SIDE: Final = frozenset({"identity", "boundary", "session", "scp"})

_Key: TypeAlias = tuple[str | int, ...]


class Progress(msgspec.Struct, frozen=True):
    """How far a replay is, in decisions."""

    read: int
    of: int


class _Sets(msgspec.Struct, frozen=True, gc=False):
    """The policies of a recorded decision, with the repository's replaced."""

    before: policy.Policies | None
    """None: as recorded."""
    after: policy.Policies
    turns: tuple[int, ...] | None
    """The seconds, in order, at which they may come to say something else; None: any (`policy.turning_points`)."""


_SetsByPart: TypeAlias = dict[str, _Sets | None]
"""By the part of the record that holds them."""


def _size_of_sets(_part: str, sets: _Sets | None) -> int:
    return 2000 if sets is None else 2000 + 32 * len(sets.turns or ())


def _documents_of(sets: _Sets | None) -> Iterable[policy.Document]:
    if sets is None:
        return ()
    compared = [each for each in (sets.before, sets.after) if each is not None]
    return [document for each in compared for document in each.documents()]


class Replays:
    """Replays recorded requests."""

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
        """A replay of what was decided on `ref` (None: as if it had no policy). RepositoryNotFound.

        `since` is inclusive, `until` exclusive (default: now), in seconds since the epoch.
        """
        before: policy.Document | None = None
        with contextlib.suppress(RepositoryPolicyNotFound):
            before = policy.parse(await self._documents.get(ref), policy.Kind.REPOSITORY)
        await self._recorder.flush()
        trial = Trial(before, proposed, compares=baseline == "in-force", root_recovers=self._settings.root_recovers)
        end = self._clock.now() if until is None else until
        return Replay(self._records, trial, ref.arn, since, end)


class Trial:
    """Decides recorded requests on the policies compared."""

    def __init__(
        self, before: policy.Document | None, after: policy.Document | None, *, compares: bool, root_recovers: bool
    ) -> None:
        """Without `compares`, what was recorded stands for `before`."""
        self._before = before
        self._after = after
        self._compares = compares
        self._root_recovers = root_recovers
        self._turns: Cache[int, tuple[policy.Document, frozenset[int] | None]] = Cache(
            "replay_turns", _POINTS, lambda _, found: 500 + 60 * len(found[1] or ()), lambda found: (found[0],)
        )
        self._plans: Cache[tuple[int, policy.Principal, str], policy.Plan] = Cache(
            "replay_plans", _PLANS, lambda _, plan: 500 + plan.size, lambda plan: plan.documents
        )
        self._answers: Cache[tuple[object, ...], Any] = Cache("replay_answers", _ANSWERS, policy.answer_size)

    def sets(self, recorded: policy.Policies) -> _Sets:
        """The policy sets to decide on, in place of those recorded."""
        before = with_repository_policy(recorded, self._before) if self._compares else None
        after = with_repository_policy(recorded, self._after)
        documents = [each.document for sets in (before, after) if sets is not None for each in named_in(sets)]
        return _Sets(before, after, _in_order(map(self._turning_points, documents)))

    def verdict(self, recorded: RecordedDecision, sets: _Sets) -> Verdict:
        """How the request was and would be decided; of equal ones of some time, at the first and the last of them.

        When the two differ, the one counts that would change something.
        """
        verdict = self._at(recorded, sets, recorded.first)
        if sets.turns != () and verdict.before is verdict.after and int(recorded.last) != int(recorded.first):
            return self._at(recorded, sets, recorded.last)
        return verdict

    def _at(self, recorded: RecordedDecision, sets: _Sets, moment: float) -> Verdict:
        request = recorded.request
        if int(moment) != int(recorded.first):
            context = {**request.context, **clock(int(moment))}
            request = msgspec.structs.replace(request, context=context)
        principal = request.principal.role_arn or request.principal.arn
        source_ip = str(request.context.get("aws:sourceip", ""))
        if request.action == _WITHOUT_POLICY:
            return Verdict(principal, recorded.allowed, recorded.allowed, "no policy yet", source_ip)
        before = recorded.allowed
        if sets.before is not None:
            decision = self._decide(request, sets.before)
            before = decision.allowed or self._recovers(recorded, decision, sets.before)
        decision = self._decide(request, sets.after)
        if self._recovers(recorded, decision, sets.after):
            return Verdict(principal, before, True, "root: allowed, the way out of a lock-out", source_ip)
        return Verdict(principal, before, decision.allowed, _reason(decision), source_ip)

    def _decide(self, request: policy.Request, policies: policy.Policies) -> policy.Decision:
        key = (id(policies), request.principal, request.action)
        plan = self._plans.get(key)
        if plan is None:  # it holds on to its policies, so that no others get their id while it is kept
            plan = policy.Plan(request.principal, request.action, policies, self._answers)
            self._plans.keep(key, plan)
        return plan.decide(request.resource, request.resource_account, request.context)

    def _recovers(self, recorded: RecordedDecision, decision: policy.Decision, sets: policy.Policies) -> bool:
        verified = recorded.caller.credential != "open"
        return self._root_recovers and may_recover(decision, sets, verified=verified)

    def _turning_points(self, document: policy.Document) -> frozenset[int] | None:
        known = self._turns.get(id(document))
        if known is None:  # it holds on to its document, so that no other gets its id while it is cached
            known = (document, policy.turning_points(document))
            self._turns.keep(id(document), known)
        return known[1]


class Replay:
    """One replay, ready to run."""

    def __init__(self, records: RecordedDecisions, trial: Trial, resource: str, since: float, until: float) -> None:
        self._records = records
        self._trial = trial
        self._resource = resource
        self._since = since
        self._until = until
        self._sets: Cache[str, _Sets | None] = Cache("replay_sets", _SETS, _size_of_sets, _documents_of)
        self._verdicts: Cache[_Key, Verdict | None] = Cache("replay_verdicts", _VERDICTS, entry_footprint)

    async def run(self) -> AsyncIterator[Progress | Report]:
        """How far it is, now and then; at the end, and last, what it found.

        The evaluation is done in a thread, so that requests are served on.
        """
        tally = Tally()
        total = await self._records.count(resource=self._resource, since=self._since, until=self._until)
        yield Progress(0, total)
        read = 0
        pages = self._records.pages(resource=self._resource, since=self._since, until=self._until, page=_PAGE)
        async for rows in pages:
            for some in _alike(rows):
                sets = await self._read_sets(some)
                verdicts = await self._learn(some, sets)
                await asyncio.to_thread(self._count, tally, some, sets, verdicts)
            read += len(rows)
            yield Progress(read, max(total, read))
        yield await asyncio.to_thread(tally.report)

    async def _learn(self, rows: Sequence[DecisionSummary], sets: _SetsByPart) -> dict[_Key, Verdict | None]:
        """The verdicts on the rows; None where one cannot be made. What was not decided before is decided now."""
        verdicts, firsts = await asyncio.to_thread(self._known, rows, sets)
        keys = {row.id: key for key, row in firsts.items()}
        whole = await self._records.load(list(firsts.values())) if firsts else []
        decided: dict[_Key, Verdict | None] = dict.fromkeys(firsts)
        for name, verdict in await asyncio.to_thread(self._decide, whole, sets):
            decided[keys[name]] = verdict
        for key, each in decided.items():
            self._verdicts.keep(key, each)
        return verdicts | decided

    async def _read_sets(self, rows: Sequence[DecisionSummary]) -> _SetsByPart:
        """The policy sets of the rows; None where the record does not hold them any more."""
        found: _SetsByPart = {}
        for part in {row.policies for row in rows}:
            if part in self._sets:
                found[part] = self._sets[part]
                continue
            try:
                found[part] = self._trial.sets(await self._records.policies(part))
            except SharedValueMissing:
                found[part] = None
            self._sets.keep(part, found[part])
        return found

    def _known(
        self, rows: Sequence[DecisionSummary], sets: _SetsByPart
    ) -> tuple[dict[_Key, Verdict | None], dict[_Key, DecisionSummary]]:
        """The verdicts that are cached, and of the others the first row of each."""
        known: dict[_Key, Verdict | None] = {}
        firsts: dict[_Key, DecisionSummary] = {}
        for row in rows:
            key = _key(row, sets[row.policies])
            if key in self._verdicts:
                known[key] = self._verdicts[key]
            else:
                firsts.setdefault(key, row)
        return known, firsts

    def _decide(self, whole: Sequence[RecordedDecision], sets: _SetsByPart) -> list[tuple[str, Verdict]]:
        decided = []
        for recorded in whole:
            on = sets[recorded.policies]
            if on is not None and _is_replayable(recorded, on):
                decided.append((recorded.id, self._trial.verdict(recorded, on)))
        return decided

    def _count(
        self, tally: Tally, rows: Sequence[DecisionSummary], sets: _SetsByPart, verdicts: Mapping[_Key, Verdict | None]
    ) -> None:
        for row in rows:
            verdict = verdicts[_key(row, sets[row.policies])]
            if verdict is None:
                tally.unreadable += 1
            else:
                tally.add(row, verdict)


def _alike(rows: Sequence[DecisionSummary]) -> Iterator[Sequence[DecisionSummary]]:
    """The rows in their order, in pieces of at most `_PARTS` different policy sets: all sets of one are in memory."""
    begin, parts = 0, set[str]()
    for number, row in enumerate(rows):
        if len(parts) == _PARTS and row.policies not in parts:
            yield rows[begin:number]
            begin, parts = number, set()
        parts.add(row.policies)
    yield rows[begin:]


def _key(row: DecisionSummary, sets: _Sets | None) -> _Key:
    """What the verdict on a row depends on, beside the policies compared."""
    turns = () if sets is None else sets.turns
    same = (row.caller, row.action, row.context, row.policies, row.allowed)
    if turns == ():
        return same
    first, last = int(row.at), int(row.last)
    if turns is None:
        return (*same, first, last)
    return (*same, bisect_right(turns, first), bisect_right(turns, last))


def _is_replayable(recorded: RecordedDecision, sets: _Sets) -> bool:
    """Whether what the policies read of the request is recorded whole."""
    compared = (sets.after,) if sets.before is None else (sets.before, sets.after)
    return all(recorded.is_replayable(each) for each in compared)


def _in_order(turns: Iterable[frozenset[int] | None]) -> tuple[int, ...] | None:
    """The turning points of all documents."""
    points: set[int] = set()
    for each in turns:
        if each is None:
            return None
        points |= each
    return tuple(sorted(points))


def with_repository_policy(recorded: policy.Policies, document: policy.Document | None) -> policy.Policies:
    """The recorded sets with that repository policy; what else the resource brings (a registry policy) stays."""
    others = tuple(each for each in recorded.resource or () if each.document.kind is not policy.Kind.REPOSITORY)
    own = () if document is None else (policy.Named("RepositoryPolicy", "", document),)
    return msgspec.structs.replace(recorded, resource=(*own, *others) or None)


def _reason(decision: policy.Decision) -> str:
    """In a few words; statements of the caller's own side are not named to whoever asks about a repository."""
    if decision.decided_by in _OWN_SIDE and not decision.allowed:
        return f"{decision.decided_by}: {'explicit deny' if decision.explicit else 'no statement allows it'}"
    if decision.decided_by in _OWN_SIDE:
        return f"{decision.decided_by}: allowed"
    return policy.short(decision)
