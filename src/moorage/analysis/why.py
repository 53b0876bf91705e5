"""`moorage why`: a recorded decision, evaluated again on what it rested on, shown as far as the asker may see it.

The caller's side (identity, boundary and session policies, SCPs, session tags and other values of the credential) is
for the caller itself and the administrators of its account; the resource's side (repository and registry policy, RCPs)
for the administrators of its account. A caller, and anybody of the resource's account, who may read the repository's
policy sees that policy too. What would have let it through is told within the same bounds, and other callers' requests
only to the administrators of the resource's account.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from moorage import policy
from moorage.access import changeable
from moorage.access.authorize import REGISTRY_POLICY, Access, NamedResource, Registry
from moorage.access.background_computation import in_thread
from moorage.access.caller import Caller, Connection
from moorage.access.context import instant
from moorage.access.recovery import RECOVERY_RULE
from moorage.audit.reader import READ_AUDIT, audit_arn, visible_context
from moorage.audit.recorded_decisions import RecordedDecision, RecordedDecisions, SharedValueMissing, named_in
from moorage.audit.recorder import Recorder
from moorage.clock import Clock
from moorage.errors import MoorageError
from moorage.names import AccountId, RepositoryRef
from moorage.policy.catalog.actions import PULL_CLIENT, PUSH_CLIENT
from moorage.registry.registry import Registry as Storage
from moorage.store.metadata.audit.tables import DecisionRow

OWN_SIDE: Final[frozenset[policy.SetName]] = frozenset({"identity", "boundary", "session", "scp"})
RESOURCE_SIDE: Final[frozenset[policy.SetName]] = frozenset({"resource", "trust", "rcp"})
POPULATION_SECONDS: Final = 30 * 86_400.0
POPULATION: Final = 20_000
"""Recorded decisions looked at for what a suggestion would open besides; the newest of them."""
CASES: Final = 1_000
"""Different denied requests among them that are evaluated."""

Shown = Callable[[str, policy.Kind], Awaitable[str]]
"""The text of a stored policy of that kind as clients see it."""
_NOTHING_SUGGESTED: Final[Mapping[str, Any]] = {
    "blockedBy": [],
    "suggestions": [],
    "outOfScope": None,
    "recorded": None,
    "ask": [],
    "note": None,
}
_NAMES_ID: Final = re.compile("A(?:IDA|ROA)")
_WITH_IDS: Final = frozenset({policy.Kind.REPOSITORY, policy.Kind.REGISTRY})
"""Kinds of policy that name users and roles by their ids once they are stored."""


_EVERYTHING: Final = policy.Named(
    "everything",
    "",
    policy.parse('{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}', policy.Kind.IDENTITY),
)


class DecisionNotFound(MoorageError):
    """No such decision, or none that the asker may see."""

    code = "DecisionNotFoundException"
    status = 404

    def __init__(self, message: str = "No such decision is recorded, or it is not yours to see.") -> None:
        super().__init__(message)


class Why:
    """Explains decisions, to each asker its part."""

    def __init__(
        self,
        recorder: Recorder,
        records: RecordedDecisions,
        registry: Storage,
        access: Access,
        shown: Shown,
        clock: Clock,
    ) -> None:
        self._recorder = recorder
        self._registry = registry
        self._records = records
        self._access = access
        self._shown = shown
        self._clock = clock

    async def explain(self, decision_id: str | None, caller: Caller, connection: Connection) -> dict[str, Any]:
        """The decision (or that of the request) of that id in the shape of docs/development/policy-engine.md §7.1, with
        suggestions.

        Without an id: the caller's last denial. DecisionNotFound.
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
        view = await self._view(recorded, policies, caller, connection)
        if not view.sets:
            raise DecisionNotFound
        decision = await in_thread(_again, recorded, policies)
        texts = await self._texts(policies)
        told = await in_thread(
            policy.explanation, decision, policies, view.sets, lambda named: texts[id(named.document)]
        )
        context = visible_context(
            recorded.request.context, is_owner="resource" in view.sets, is_caller="identity" in view.sets
        )
        told |= {
            "id": recorded.id,
            "time": instant(int(recorded.first)),
            "count": recorded.count,
            "lastTime": instant(int(recorded.last)),
            "context": policy.told_context(context),
        }
        cut = recorded.cut_for(policies)
        if cut:  # what would allow it cannot be known
            hidden = recorded.request.context.keys() - context.keys()
            return told | {"cut": sorted(cut - hidden), **_NOTHING_SUGGESTED}
        return told | await self._suggested(recorded, policies, decision, view)

    async def _row(self, decision_id: str | None, caller: Caller) -> DecisionRow | None:
        if decision_id is None:
            return await self._recorder.last_denial(caller.principal.arn)
        return await self._recorder.find(decision_id)

    async def _view(
        self, recorded: RecordedDecision, policies: policy.Policies, caller: Caller, connection: Connection
    ) -> "_View":
        """What the asker may read: each account its own side."""
        principal, theirs = caller.principal, recorded.request.principal
        owner, ref = recorded.request.resource_account, changeable.repository_of(recorded.request.resource)
        its_own = bool(theirs.account) and principal.id == theirs.id
        over_caller = principal.account == theirs.account and await self._administers(caller, connection)
        over_resource = principal.account == owner and await self._administers(caller, connection)
        sets: frozenset[policy.SetName] = OWN_SIDE if its_own or over_caller else frozenset()
        if over_resource:
            sets |= RESOURCE_SIDE
        # Of another's request in a foreign account, reading the policy alone makes nobody a party to it.
        elif ref is not None and (sets or principal.account == owner):
            names = {each.name for each in policies.resource or ()}
            if await self._reads_policies(names, ref, caller, connection):
                sets |= {"resource"}
        return _View(principal.account, sets, over_resource)

    async def _reads_policies(
        self, names: Iterable[str], ref: RepositoryRef, caller: Caller, connection: Connection
    ) -> bool:
        """Whether the asker may read the repository's policy and, if that is among them, its registry's."""
        if not await self._access.sees(caller, connection, "ecr:GetRepositoryPolicy", ref):
            return False
        if REGISTRY_POLICY not in names:
            return True
        registry = Registry(ref.account, ref.region)
        is_own = caller.principal.account == ref.account
        return is_own and await self._access.sees(caller, connection, "ecr:GetRegistryPolicy", registry)

    async def _administers(self, caller: Caller, connection: Connection) -> bool:
        """Who may read the audit record of its account may read what the decisions in it rested on."""
        account = AccountId(caller.principal.account)
        return await self._access.sees(caller, connection, READ_AUDIT, NamedResource(account, audit_arn(account)))

    async def _texts(self, policies: policy.Policies) -> dict[int, str]:
        """The text of every policy, by its document's id, as its readers know it."""
        texts: dict[int, str] = {}
        for named in named_in(policies):
            document = named.document
            text, kind = document.text, document.kind
            texts[id(document)] = await self._shown(text, kind) if kind in _WITH_IDS else text
        return texts

    async def _suggested(
        self,
        recorded: RecordedDecision,
        policies: policy.Policies,
        decision: policy.Decision,
        view: "_View",
    ) -> dict[str, Any]:
        """What would have let it through, and what else that would open."""
        if decision.allowed:
            return dict(_NOTHING_SUGGESTED)
        request = recorded.request
        could_change = await changeable.changeable(self._registry, request, policies, recorded.region, view.sets)
        note = await changeable.note(self._registry, decision, policies, view.sets)
        policies = changeable.for_suggestions(policies, view.sets)
        suggestions = await in_thread(policy.suggest, request, policies, could_change)
        blocked_by = policy.blocked_by(decision, suggestions)
        token = request.context.get("moorage:tokenname")
        if token is not None:  # what it was made with stays as it is
            suggestions = tuple(each for each in suggestions if all(one.set != "session" for one in each.changes))
        cases = await self._cases(request, view) if suggestions else []
        visible = view.sets
        told = [await self._suggestion(each, cases, request, policies, visible) for each in suggestions]
        return {
            "blockedBy": [name for name in blocked_by if name in visible],
            "suggestions": _different(each for each in told if each["changes"]),
            "outOfScope": _out_of_scope(token, request) if "session" in blocked_by and "session" in visible else None,
            "recorded": {"requests": sum(case.times for case in cases), "days": int(POPULATION_SECONDS // 86_400)},
            "ask": changeable.asks(decision, policies, visible),
            "note": note,
        }

    async def _suggestion(
        self,
        suggestion: policy.Suggestion,
        cases: Sequence[policy.Case],
        request: policy.Request,
        policies: policy.Policies,
        visible: frozenset[policy.SetName],
    ) -> dict[str, Any]:
        told: dict[str, Any] = {
            "changes": [await self._change(each, request) for each in suggestion.changes if each.set in visible],
            "hidden": sorted({each.set for each in suggestion.changes} - visible),
            "rule": suggestion.rule,
        }
        if not told["hidden"]:  # the figures would tell what the hidden part says
            also, total = await in_thread(policy.opened, suggestion, cases, request, policies)
            told |= {"wouldAllow": [msgspec.to_builtins(each) for each in also], "wouldAllowCount": total}
        return told

    async def _change(self, change: policy.Change, request: policy.Request) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(change)
        told["opens"] = policy.says(change, request)
        if change.set == "resource" and _NAMES_ID.search(change.document + json.dumps(change.before)):
            kind = policy.Kind(change.policy_kind)
            for name in ("before", "after"):
                if told[name] is not None:
                    text = await self._shown(json.dumps({"Statement": [told[name]]}), kind)
                    (told[name],) = json.loads(text)["Statement"]
            told["document"] = await self._shown(change.document, kind)
        return told

    async def _cases(self, request: policy.Request, view: "_View") -> list[policy.Case]:
        """Denied requests of the last weeks: on the resource for administrators of its account, of whoever made them.

        Everybody else learns of the caller's own alone: on any resource, or on this one where the asker is no party to
        the others.
        """
        since = self._clock.now() - POPULATION_SECONDS
        if view.owns_resource:
            rows = await self._records.denials(since=since, most=POPULATION, resource=request.resource)
        else:
            rows = await self._records.denials(since=since, most=POPULATION, principal=request.principal.arn)
            if "identity" not in view.sets:
                rows = [row for row in rows if row.resource == request.resource]
        groups: dict[tuple[str, ...], list[Any]] = {}
        for row in rows:
            key = (row.caller, row.action, row.resource, row.context, row.policies)
            groups.setdefault(key, []).append(row)
        firsts = [group[0] for group in islice(groups.values(), CASES)]
        times = {group[0].id: sum(row.count for row in group) for group in groups.values()}
        cases = []
        for each in await self._records.load(firsts):
            try:
                policies = await self._records.policies(each.policies)
            except SharedValueMissing:
                continue
            if not each.is_replayable(policies):
                continue
            if each.request.principal.account not in {"", view.account}:
                policies = _without_own_side(policies)
            cases.append(policy.Case(each.id, each.request, policies, times[each.id]))
        return cases


class _View(NamedTuple):
    """What somebody who asks about a decision may read of it."""

    account: str
    """The asker's."""
    sets: frozenset[policy.SetName]
    """Sets of policies that may be shown."""
    owns_resource: bool
    """An administrator of the account that the resource belongs to."""


def _without_own_side(policies: policy.Policies) -> policy.Policies:
    """As if the caller's account allowed everything: what its policies say, a figure must not tell another account."""
    return policy.Policies(identity=(_EVERYTHING,), resource=policies.resource, trust=policies.trust, rcp=policies.rcp)


def _again(recorded: RecordedDecision, policies: policy.Policies) -> policy.Decision:
    """The same evaluation on the recorded request and policies, now with every detail.

    If the record cut a value that the policies read, the verdict is the recorded one.
    """
    decision = policy.evaluate(recorded.request, policies, detail=True)
    if not recorded.is_replayable(policies):
        decision = msgspec.structs.replace(decision, allowed=recorded.allowed, rule=recorded.rule)
    if recorded.rule == RECOVERY_RULE:
        decision = msgspec.structs.replace(
            decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
        )
    return decision


def _out_of_scope(token: object, request: policy.Request) -> dict[str, Any] | None:
    """What a pull token that may do this would be made with; None for other callers."""
    if token is None:
        return None
    action = request.action
    option = ["--pull"] if action in PULL_CLIENT else ["--push"] if action in PUSH_CLIENT else ["--action", action]
    ref = changeable.repository_of(request.resource)
    return {"token": token, "madeWith": ["--repository", "*" if ref is None else ref.name, *option]}


def _different(suggestions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those that look alike once their hidden part is left out."""
    kept: dict[str, dict[str, Any]] = {}
    for each in suggestions:
        kept.setdefault(json.dumps([change["document"] for change in each["changes"]]), each)
    return list(kept.values())
