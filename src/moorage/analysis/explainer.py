"""Explains recorded decisions: evaluates them again on the same policies and shows what the reader may see.

Each account sees its own side. The caller's side (identity, boundary and session policies, SCPs, session tags and other
values of the credential) is for the caller and the administrators of its account. The resource's side (repository and
registry policies, RCPs) is for the administrators of its account. The repository's policy is also for the caller, and
for everyone in the resource's account, if they may read it. Suggestions are shown within the same limits, and requests
of other callers only to administrators of the resource's account.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from moorage import policy
from moorage.access.authorize import REGISTRY_POLICY, Access
from moorage.access.background_computation import in_thread
from moorage.access.caller import Caller, Connection
from moorage.access.context import instant
from moorage.access.recovery import RECOVERY_RULE
from moorage.access.resources import NamedResource, RegistryResource
from moorage.analysis import possible_changes
from moorage.analysis.explanation import (
    ExplainedChange,
    ExplainedDecision,
    ExplainedSuggestion,
    RecordedDenials,
    TokenScope,
)
from moorage.audit.reader import READ_AUDIT, audit_arn, visible_context
from moorage.audit.recorded_decisions import RecordedDecision, RecordedDecisions, SharedValueMissing, named_in
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.errors import MoorageError
from moorage.names import AccountId, RepositoryRef
from moorage.policy.catalog.actions import PULL_CLIENT, PUSH_CLIENT
from moorage.registry.registry import Registry
from moorage.store.metadata.audit.audit import DecisionSummary
from moorage.store.metadata.audit.tables import DecisionRow

CALLER_SETS: Final[frozenset[policy.SetName]] = frozenset({"identity", "boundary", "session", "scp"})
RESOURCE_SETS: Final[frozenset[policy.SetName]] = frozenset({"resource", "trust", "rcp"})
DENIALS_SECONDS: Final = 30 * 86_400.0
"""Age of the oldest recorded denials that suggestions are tried on."""
MAX_DENIALS: Final = 20_000
"""Most recorded denials that suggestions are tried on, the newest of them."""
MAX_CASES: Final = 1_000
"""Most different requests among them that are evaluated."""

ShownText = Callable[[str, policy.Kind], Awaitable[str]]
"""Returns the text of a stored policy of that kind as clients see it."""
_CONTAINS_ID: Final = re.compile("A(?:IDA|ROA)")
_WITH_IDS: Final = frozenset({policy.Kind.REPOSITORY, policy.Kind.REGISTRY})
"""Kinds of policies in which users and roles are stored by their unique ids."""


_ALLOW_EVERYTHING: Final = policy.Named(
    "everything",
    "",
    policy.parse('{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', policy.Kind.IDENTITY),
)


class DecisionNotFound(MoorageError):
    """There is no such decision, or none that the reader may see."""

    code = "DecisionNotFoundException"
    status = 404

    def __init__(self, message: str = "No such decision is recorded, or you may not see it.") -> None:
        super().__init__(message)


class Explainer:
    """Explains recorded decisions to those who may see them."""

    def __init__(
        self,
        recorder: Recorder,
        records: RecordedDecisions,
        registry: Registry,
        access: Access,
        shown_text: ShownText,
        clock: Clock,
    ) -> None:
        self._recorder = recorder
        self._registry = registry
        self._records = records
        self._access = access
        self._shown_text = shown_text
        self._clock = clock

    async def explain(self, decision_id: str | None, caller: Caller, connection: Connection) -> ExplainedDecision:
        """Return the decision with that id, or of the request with that id, explained for `caller`.

        Without an id, return the caller's last denial. Raise DecisionNotFound.
        """
        row = await self._row(decision_id, caller)
        if row is None and decision_id is None:
            who = caller.principal.arn
            raise DecisionNotFound(f"No denied request of {who} is recorded. Pass the id of a decision to see another.")
        recorded = None if row is None else await self._records.load_one(row)
        if recorded is None:
            raise DecisionNotFound
        try:
            policies = await self._records.policies(recorded.policies)
        except SharedValueMissing as error:
            raise DecisionNotFound from error
        reader = await self._reader(recorded, policies, caller, connection)
        if not reader.sets:
            raise DecisionNotFound
        decision = await in_thread(_evaluate_again, recorded, policies)
        texts = await self._texts(policies)
        explanation = await in_thread(
            policy.explain, decision, policies, reader.sets, lambda named: texts[id(named.document)]
        )
        context = visible_context(
            recorded.request.context, is_owner="resource" in reader.sets, is_caller="identity" in reader.sets
        )
        explained = ExplainedDecision(
            **msgspec.structs.asdict(explanation),
            id=recorded.id,
            time=instant(int(recorded.first)),
            count=recorded.count,
            last_time=instant(int(recorded.last)),
            context=policy.context_values(context),
        )
        cut = recorded.cut_for(policies)
        if cut:  # the policies cannot be evaluated, so no change can be tried
            hidden = recorded.request.context.keys() - context.keys()
            return msgspec.structs.replace(explained, cut=sorted(cut - hidden))
        if decision.allowed:
            return explained
        return await self._with_suggestions(explained, recorded, policies, decision, reader)

    async def _row(self, decision_id: str | None, caller: Caller) -> DecisionRow | None:
        if decision_id is None:
            return await self._recorder.last_denial(caller.principal.arn)
        return await self._recorder.find(decision_id)

    async def _reader(
        self, recorded: RecordedDecision, policies: policy.Policies, caller: Caller, connection: Connection
    ) -> "_Reader":
        """Return what `caller` may see of the decision: each account sees its own side."""
        principal, requester = caller.principal, recorded.request.principal
        owner, ref = recorded.request.resource_account, possible_changes.repository_of(recorded.request.resource)
        is_requester = bool(requester.account) and principal.id == requester.id
        administers_caller = principal.account == requester.account and await self._administers(caller, connection)
        administers_resource = principal.account == owner and await self._administers(caller, connection)
        sets: frozenset[policy.SetName] = CALLER_SETS if is_requester or administers_caller else frozenset()
        if administers_resource:
            sets |= RESOURCE_SETS
        # The right to read the policy alone does not entitle to see a request of others in another account.
        elif ref is not None and (sets or principal.account == owner):
            names = {each.name for each in policies.resource or ()}
            if await self._reads_policies(names, ref, caller, connection):
                sets |= {"resource"}
        return _Reader(principal.account, sets, administers_resource)

    async def _reads_policies(
        self, names: Iterable[str], ref: RepositoryRef, caller: Caller, connection: Connection
    ) -> bool:
        """Return whether `caller` may read the repository's policy and, if `names` contains it, the registry's."""
        if not await self._access.sees(caller, connection, "ecr:GetRepositoryPolicy", ref):
            return False
        if REGISTRY_POLICY not in names:
            return True
        registry = RegistryResource(ref.account, ref.region)
        is_own = caller.principal.account == ref.account
        return is_own and await self._access.sees(caller, connection, "ecr:GetRegistryPolicy", registry)

    async def _administers(self, caller: Caller, connection: Connection) -> bool:
        """Return whether `caller` administers its account: whether it may read the account's audit record."""
        account = AccountId(caller.principal.account)
        return await self._access.sees(caller, connection, READ_AUDIT, NamedResource(account, audit_arn(account)))

    async def _texts(self, policies: policy.Policies) -> dict[int, str]:
        """Return the text of every policy as clients see it, by the identity of its document."""
        texts: dict[int, str] = {}
        for named in named_in(policies):
            document = named.document
            text, kind = document.text, document.kind
            texts[id(document)] = await self._shown_text(text, kind) if kind in _WITH_IDS else text
        return texts

    async def _with_suggestions(
        self,
        explained: ExplainedDecision,
        recorded: RecordedDecision,
        policies: policy.Policies,
        decision: policy.Decision,
        reader: "_Reader",
    ) -> ExplainedDecision:
        """Return the explanation of a denial with changes that would allow it, and what else they would allow."""
        request, visible = recorded.request, reader.sets
        changeable = await possible_changes.changeable_policies(
            self._registry, request, policies, recorded.region, visible
        )
        note = await possible_changes.why_unchangeable(self._registry, decision, policies, visible)
        policies = possible_changes.policies_for_suggestions(policies, visible)
        suggestions = await in_thread(policy.suggest, request, policies, changeable)
        blocked_by = policy.blocked_by(decision, suggestions)
        token = request.context.get("moorage:tokenname")
        if token is not None:  # the policy of a token cannot be changed
            suggestions = tuple(each for each in suggestions if all(one.set != "session" for one in each.changes))
        cases = await self._cases(request, reader) if suggestions else []
        explanations = [await self._suggestion(each, cases, request, policies, visible) for each in suggestions]
        return msgspec.structs.replace(
            explained,
            blocked_by=[name for name in blocked_by if name in visible],
            suggestions=_distinct(each for each in explanations if each.changes),
            out_of_scope=_token_scope(token, request) if "session" in blocked_by and "session" in visible else None,
            recorded=RecordedDenials(requests=sum(case.times for case in cases), days=int(DENIALS_SECONDS // 86_400)),
            ask=possible_changes.account_requests(decision, policies, visible),
            note=note,
        )

    async def _suggestion(
        self,
        suggestion: policy.Suggestion,
        cases: Sequence[policy.DeniedRequest],
        request: policy.Request,
        policies: policy.Policies,
        visible: frozenset[policy.SetName],
    ) -> ExplainedSuggestion:
        explained = ExplainedSuggestion(
            changes=[await self._change(each, request) for each in suggestion.changes if each.set in visible],
            hidden=sorted({each.set for each in suggestion.changes} - visible),
            rule=suggestion.rule,
        )
        if explained.hidden:
            return explained
        allowed, count = await in_thread(policy.newly_allowed, suggestion, cases, request, policies)
        return msgspec.structs.replace(explained, would_allow=list(allowed), would_allow_count=count)

    async def _change(self, change: policy.Change, request: policy.Request) -> ExplainedChange:
        explained = ExplainedChange(**msgspec.structs.asdict(change), opens=policy.effect_of(change, request))
        if change.set != "resource" or not _CONTAINS_ID.search(change.document + json.dumps(change.before)):
            return explained
        kind = policy.Kind(change.policy_kind)
        return msgspec.structs.replace(
            explained,
            before=await self._shown_statement(change.before, kind),
            after=await self._shown_statement(change.after, kind),
            document=await self._shown_text(change.document, kind),
        )

    async def _shown_statement(self, statement: dict[str, Any] | None, kind: policy.Kind) -> dict[str, Any] | None:
        """Return a statement of a stored policy as clients see it."""
        if statement is None:
            return None
        text = await self._shown_text(json.dumps({"Statement": [statement]}), kind)
        shown: dict[str, Any] = json.loads(text)["Statement"][0]
        return shown

    async def _cases(self, request: policy.Request, reader: "_Reader") -> list[policy.DeniedRequest]:
        """Return recent denied requests that suggestions are tried on.

        Administrators of the resource's account get all requests for the resource, of any caller. Other readers get
        those of the request's caller: for any resource, or only for this one if they may not see the caller's side.
        """
        since = self._clock.now() - DENIALS_SECONDS
        if reader.administers_resource:
            rows = await self._records.denials(since=since, most=MAX_DENIALS, resource=request.resource)
        else:
            rows = await self._records.denials(since=since, most=MAX_DENIALS, principal=request.principal.arn)
            if "identity" not in reader.sets:
                rows = [row for row in rows if row.resource == request.resource]
        groups: dict[tuple[str, ...], list[DecisionSummary]] = {}
        for row in rows:
            key = (row.caller, row.action, row.resource, row.context, row.policies)
            groups.setdefault(key, []).append(row)
        firsts = [group[0] for group in islice(groups.values(), MAX_CASES)]
        times = {group[0].id: sum(row.count for row in group) for group in groups.values()}
        cases = []
        for each in await self._records.load(firsts):
            try:
                policies = await self._records.policies(each.policies)
            except SharedValueMissing:
                continue
            if not each.is_replayable(policies):
                continue
            if each.request.principal.account not in {"", reader.account}:
                policies = _without_caller_sets(policies)
            cases.append(policy.DeniedRequest(each.id, each.request, policies, times[each.id]))
        return cases


class _Reader(NamedTuple):
    """What somebody may see of a decision."""

    account: str
    sets: frozenset[policy.SetName]
    """Policy sets that may be shown."""
    administers_resource: bool
    """Whether the reader is an administrator of the account that owns the resource."""


def _without_caller_sets(policies: policy.Policies) -> policy.Policies:
    """Return the policies as if the caller's account allowed everything.

    Another account must not learn from a number what the policies of the caller's account say.
    """
    return policy.Policies(
        identity=(_ALLOW_EVERYTHING,), resource=policies.resource, trust=policies.trust, rcp=policies.rcp
    )


def _evaluate_again(recorded: RecordedDecision, policies: policy.Policies) -> policy.Decision:
    """Return the decision on the recorded request and policies, with details.

    If the record truncated a value that the policies read, the verdict is the recorded one.
    """
    decision = policy.evaluate(recorded.request, policies, detail=True)
    if not recorded.is_replayable(policies):
        decision = msgspec.structs.replace(decision, allowed=recorded.allowed, rule=recorded.rule)
    if recorded.rule == RECOVERY_RULE:
        decision = msgspec.structs.replace(
            decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
        )
    return decision


def _token_scope(token: str | tuple[str, ...] | None, request: policy.Request) -> TokenScope | None:
    """Return the options of a pull token that could make the request; None if no token made it."""
    if not isinstance(token, str):
        return None
    action = request.action
    option = ["--pull"] if action in PULL_CLIENT else ["--push"] if action in PUSH_CLIENT else ["--action", action]
    ref = possible_changes.repository_of(request.resource)
    return TokenScope(token=token, made_with=["--repository", "*" if ref is None else ref.name, *option])


def _distinct(suggestions: Iterable[ExplainedSuggestion]) -> list[ExplainedSuggestion]:
    """Drop suggestions that are equal without their hidden changes."""
    kept: dict[tuple[str, ...], ExplainedSuggestion] = {}
    for each in suggestions:
        kept.setdefault(tuple(change.document for change in each.changes), each)
    return list(kept.values())
