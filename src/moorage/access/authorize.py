"""Decides every request, on the caller's and the resource's policies, before anything is done."""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from moorage import cache, metrics, policy
from moorage.access import context, guardrails
from moorage.access.caller import Caller, Connection
from moorage.access.recording import DecisionEntry, DecisionLog
from moorage.access.recovery import RECOVERY_RULE, recovers_root
from moorage.access.registry_policy import reaching
from moorage.access.resources import DeletedRepository, NamedResource, RegistryResource, Resource
from moorage.cache import Cache, Sized, footprint
from moorage.clock import Clock
from moorage.errors import AccessDenied
from moorage.identity.accounts.organizations import Levels, Organizations
from moorage.identity.credentials.credentials import Attached, PolicySets
from moorage.identity.policies import aws_managed
from moorage.names import AccountId, Region, RepositoryRef, repository_arn
from moorage.policy.caches import REMEMBERED
from moorage.registry.registry import Registry
from moorage.settings import Settings
from moorage.store.metadata.epoch import Epoch, EpochCache

REPOSITORY_POLICY = "RepositoryPolicy"
REGISTRY_POLICY = "RegistryPolicy"
"""The names that policies of the resource have in a decision."""
_KEPT = 24 << 20
"""Bytes of each cache of compiled policies. Mostly the caches share their policies."""
_ANSWERS = 8 << 20
"""Bytes of the cache of plans' answers for values of condition keys."""
_NO_TAGS: Mapping[str, str] = {}
_NO_POLICIES = PolicySets()
_log = structlog.get_logger()
for _name, (_function, _entry) in REMEMBERED.items():
    cache.measured(_name, _function, _entry)
cache.measured("repository_arns", repository_arn, 1_500)


class PolicyHashes(NamedTuple):
    """The hashes of the policies that a decision is made on."""

    caller: PolicySets
    repository: str | None
    registry: str | None
    scp: Levels | None = None
    rcp: Levels | None = None
    trust: str | None = None
    """As in `NamedResource`."""


class DecisionBasis(NamedTuple):
    """What decisions about a caller, an action and a resource rest on. Valid for one authorization epoch."""

    hashes: PolicyHashes
    plan: policy.Plan
    """Of these policies."""
    account: AccountId
    """The account that owns the resource."""
    arn: str
    tags: Mapping[str, str] | None
    """Tags of the repository. None: it does not exist, and the tags in the request count."""
    keys: Mapping[str, str | tuple[str, ...]]
    """Condition keys of the organization."""


class Access:
    """Decides requests and records the decisions."""

    def __init__(
        self,
        registry: Registry,
        organizations: Organizations,
        recorder: DecisionLog,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._repositories = registry.repositories
        self._registry_policies = registry.registry_policies
        self._documents = registry.repository_policies
        self._organizations = organizations
        self._recorder = recorder
        self._clock = clock
        self._settings = settings
        self._compiled: Cache[tuple[str, policy.Kind], policy.Document] = Cache(
            "policy_documents", _KEPT, lambda key, document: footprint(key[0]) + document.size
        )
        self._policies: Cache[PolicyHashes, policy.Policies] = Cache(
            "policy_sets", _KEPT, lambda key, _: _hashes_size(key), policy.Policies.documents
        )
        self._plans: Cache[tuple[PolicyHashes, policy.Principal, str], policy.Plan] = Cache(
            "policy_plans", _KEPT, lambda key, plan: _hashes_size(key[0]) + plan.size, lambda plan: plan.documents
        )
        self._answers: Cache[tuple[object, ...], Any] = Cache("policy_answers", _ANSWERS, policy.answer_size)
        self._bases: EpochCache[tuple[policy.Principal, PolicySets, str, Resource], DecisionBasis] = EpochCache(
            "decision_bases", _KEPT, "value", lambda _, basis: _hashes_size(basis.hashes), _shared_objects
        )
        self._contexts = context.Contexts()
        self._allowed = metrics.DECISIONS.labels("allow")
        self._denied = metrics.DECISIONS.labels("deny")

    async def require(
        self,
        caller: Caller,
        connection: Connection,
        action: str,
        resource: Resource,
        *,
        extra: Mapping[str, str | tuple[str, ...]] = _NO_TAGS,
        decision_id: str | None = None,
    ) -> None:
        """Return if `caller` may use `action` on `resource`; otherwise raise AccessDenied with AWS's message.

        `extra`: condition keys of the operation, in lower case. `decision_id`: id under which a denial is recorded.
        """
        basis = await self._basis(caller, action, resource)
        entry = self._recorded(self._decide(basis, caller, connection, resource, extra, decision_id), connection)
        decision = entry.decision
        if decision.allowed:
            return
        reason = policy.short(decision)
        _log.warning(
            "denied",
            decision=entry.id,
            principal=caller.principal.arn,
            action=action,
            resource=decision.request.resource,
            reason=reason,
        )
        if caller.principal.kind == "anonymous":
            # Anonymous callers must not learn what a policy says (docs/reference/why.md).
            raise AccessDenied(policy.plain_sentence(decision.request))
        raise AccessDenied(policy.sentence(decision.request, decision), entry.id, short=_short_for_caller(decision))

    async def allows(
        self,
        caller: Caller,
        connection: Connection,
        action: str,
        resource: Resource,
        *,
        extra: Mapping[str, str | tuple[str, ...]] = _NO_TAGS,
    ) -> bool:
        """Return whether `caller` may use `action` on `resource`. The decision is recorded."""
        basis = await self._basis(caller, action, resource)
        entry = self._recorded(self._decide(basis, caller, connection, resource, extra, None), connection)
        return entry.decision.allowed

    async def sees(
        self,
        caller: Caller,
        connection: Connection,
        action: str,
        resource: Resource,
        *,
        extra: Mapping[str, str | tuple[str, ...]] = _NO_TAGS,
    ) -> bool:
        """Return whether an answer may show something to `caller`. Not recorded: nobody requested the action."""
        basis = await self._basis(caller, action, resource)
        return self._decide(basis, caller, connection, resource, extra, None).decision.allowed

    async def would_allow(
        self, caller: Caller, connection: Connection, action: str, ref: RepositoryRef, document: policy.Document
    ) -> bool:
        """Return whether `caller` would be allowed if `document` were the repository's policy.

        It is not recorded, and the root user cannot recover.
        """
        basis = await self._basis(caller, action, ref)
        name = hashlib.sha256(document.text.encode()).hexdigest()  # the name under which it would be stored
        self._compiled.keep((name, document.kind), document)
        plan = await self._plan(basis.hashes._replace(repository=name), caller.principal, action)
        tags = basis.tags or _NO_TAGS
        values = self._contexts.of(caller, connection, self._clock.now(), ref.account, tags, basis.keys, _NO_TAGS)
        return plan.decide(ref.arn, ref.account, values).allowed

    async def proposal(
        self, caller: Caller, connection: Connection, action: str, ref: RepositoryRef
    ) -> Callable[[policy.Document], bool]:
        """Return a function that decides as `would_allow` does, on everything else that is in force now.

        It awaits nothing and uses no cache, so a transaction may call it, in another thread too.
        """
        basis = await self._basis(caller, action, ref)
        others = await self._compiled_sets(basis.hashes._replace(repository=None))
        tags = basis.tags or _NO_TAGS
        values = self._contexts.of(caller, connection, self._clock.now(), ref.account, tags, basis.keys, _NO_TAGS)

        def would_allow(document: policy.Document) -> bool:
            named = policy.Named(REPOSITORY_POLICY, hashlib.sha256(document.text.encode()).hexdigest(), document)
            policies = msgspec.structs.replace(others, resource=(named, *(others.resource or ())))
            return policy.Plan(caller.principal, action, policies).decide(ref.arn, ref.account, values).allowed

        return would_allow

    def _decide(
        self,
        basis: DecisionBasis,
        caller: Caller,
        connection: Connection,
        resource: Resource,
        extra: Mapping[str, str | tuple[str, ...]],
        decision_id: str | None,
    ) -> DecisionEntry:
        _, plan, account, arn, tags, keys = basis
        if tags is None:
            tags = _requested_tags(extra)
        now = self._clock.now()
        decision = plan.decide(arn, account, self._contexts.of(caller, connection, now, account, tags, keys, extra))
        if not decision.allowed and self._recovers(caller, decision, plan.policies):
            decision = msgspec.structs.replace(
                decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
            )
        region = connection.region if isinstance(resource, NamedResource) else resource.region
        entry_id = "" if decision.allowed else decision_id or str(uuid.uuid4())
        return DecisionEntry(entry_id, now, now, region, decision, plan.policies, caller)

    def _recorded(self, made: DecisionEntry, connection: Connection) -> DecisionEntry:
        """Record a decision. Return the entry that represents it in the record."""
        entry = self._recorder.record(made)
        connection.decisions.append(entry)
        (self._allowed if entry.decision.allowed else self._denied).inc()
        return entry

    def _recovers(self, caller: Caller, decision: policy.Decision, policies: policy.Policies) -> bool:
        return self._settings.root_recovers and recovers_root(decision, policies, verified=caller.verified)

    async def _basis(self, caller: Caller, action: str, resource: Resource) -> DecisionBasis:
        """Return what such decisions rest on; cached for one epoch."""
        at = await self._repositories.current_epoch()
        key = (caller.principal, caller.policies, action, resource)
        basis = self._bases.known(key, at)
        if basis is None:
            basis = await self._find_basis(caller, action, resource, at)
            self._bases.keep(key, basis, at)
        return basis

    async def _find_basis(self, caller: Caller, action: str, resource: Resource, at: Epoch) -> DecisionBasis:
        """Return what such decisions rest on under the epoch `at`."""
        tags: Mapping[str, str] | None = _NO_TAGS
        policy_hash: str | None = None
        trust: str | None = None
        region: Region | None = None
        if isinstance(resource, (RepositoryRef, DeletedRepository)):
            if isinstance(resource, DeletedRepository):
                ref, state = resource.ref, await self._repositories.deleted_state(resource.id)
            else:
                ref, state = resource, await self._repositories.state(resource, at)
            account, region, arn = ref.account, ref.region, ref.arn
            tags = (
                None if state is None else state.tags or _NO_TAGS
            )  # always the same object, so that contexts are shared
            policy_hash = None if state is None else state.policy_hash
        elif isinstance(resource, RegistryResource):
            account, region = resource.account, resource.region
            arn = repository_arn(account, region, "*") if resource.all_repositories else "*"
        else:
            account, arn, trust = resource
        hashes, keys = await self._applicable(caller.principal, action, account, region, at)
        hashes = hashes._replace(caller=caller.policies, repository=policy_hash, trust=trust)
        plan = await self._plan(hashes, caller.principal, action)
        return DecisionBasis(hashes, plan, account, arn, tags, keys)

    async def _plan(self, hashes: PolicyHashes, principal: policy.Principal, action: str) -> policy.Plan:
        """Return the plan; cached, because the text of a policy with a given hash never changes."""
        plan = self._plans.get((hashes, principal, action))
        if plan is None:
            plan = policy.Plan(principal, action, await self._compiled_sets(hashes), self._answers)
            self._plans.keep((hashes, principal, action), plan)
        return plan

    async def _applicable(
        self, principal: policy.Principal, action: str, account: AccountId, region: Region | None, at: Epoch
    ) -> tuple[PolicyHashes, Mapping[str, str | tuple[str, ...]]]:
        """Return the policies that apply beside the caller's and the repository's or role's own, and condition keys.

        The keys are those of the organization. `region`: None for a resource that is in no registry. `at`: the epoch,
        which was just read.
        """
        registry_policy = None
        if region is not None:
            registry_policy = reaching(action, await self._registry_policies.state(account, region, at))
        members = await self._organizations.members(at)
        if not members:
            return PolicyHashes(_NO_POLICIES, None, registry_policy), _NO_TAGS
        hashes = PolicyHashes(
            _NO_POLICIES,
            None,
            registry_policy,
            guardrails.scp(members, principal),
            guardrails.rcp(members, account, action, in_registry=region is not None),
        )
        return hashes, guardrails.keys(members, principal, account)

    async def _compiled_sets(self, hashes: PolicyHashes) -> policy.Policies:
        """Return the compiled policies with those hashes."""
        known = self._policies.get(hashes)
        if known is not None:
            return known
        resource = []
        for name, hash_, kind in (
            (REPOSITORY_POLICY, hashes.repository, policy.Kind.REPOSITORY),
            (REGISTRY_POLICY, hashes.registry, policy.Kind.REGISTRY),
        ):
            if hash_ is not None:
                resource.append(policy.Named(name, hash_, await self.compiled(hash_, kind)))
        policies = msgspec.structs.replace(
            await self.own(hashes.caller),
            resource=tuple(resource) or None,
            trust=await self._trust(hashes.trust),
            scp=await self._levels(hashes.scp, policy.Kind.SCP),
            rcp=await self._levels(hashes.rcp, policy.Kind.RCP),
        )
        self._policies.keep(hashes, policies)
        return policies

    async def _trust(self, name: str | None) -> tuple[policy.Named, ...] | None:
        """Return the trust policy: None if no role is assumed, empty if the role does not exist."""
        if not name:
            return None if name is None else ()
        return (policy.Named("trust policy", name, await self.compiled(name, policy.Kind.TRUST)),)

    async def _levels(self, levels: Levels | None, kind: policy.Kind) -> tuple[tuple[policy.Named, ...], ...] | None:
        if levels is None:
            return None
        return tuple(
            [
                tuple([policy.Named(rail.name, rail.hash, await self.compiled(rail.hash, kind)) for rail in level])
                for level in levels
            ]
        )

    async def service_control(self, principal: policy.Principal) -> tuple[tuple[policy.Named, ...], ...] | None:
        """Return the SCPs of the principal's account, a tuple a level; None if none apply."""
        return await self._levels(guardrails.scp(await self._organizations.members(), principal), policy.Kind.SCP)

    async def applicable_policies(
        self, principal: policy.Principal, action: str, account: AccountId, region: Region, at: Epoch
    ) -> tuple[policy.Policies, Mapping[str, str | tuple[str, ...]]]:
        """Return the registry policy and guardrails for an action of `principal`, and the keys of the organization.

        The principal's and the repository's own policies are not among them. `at`: the current epoch.
        """
        hashes, keys = await self._applicable(principal, action, account, region, at)
        return await self._compiled_sets(hashes), keys

    async def own(self, sets: PolicySets) -> policy.Policies:
        """Return the caller's own policies, compiled."""
        boundary, session = sets.boundary, sets.session
        return policy.Policies(
            identity=await self._named(sets.identity, policy.Kind.IDENTITY),
            boundary=None if boundary is None else await self._named(boundary, policy.Kind.BOUNDARY),
            session=None if session is None else await self._named(session, policy.Kind.SESSION),
        )

    async def _named(self, attached: tuple[Attached, ...], kind: policy.Kind) -> tuple[policy.Named, ...]:
        return tuple([policy.Named(each.label, each.hash, await self.compiled(each.hash, kind)) for each in attached])

    async def compiled(self, name: str, kind: policy.Kind) -> policy.Document:
        """Return the compiled policy document with that hash. Raise LookupError if there is none."""
        found = self._compiled.get((name, kind))
        if found is None:
            found = policy.parse(aws_managed.document(name) or await self._documents.document(name), kind)
            self._compiled.keep((name, kind), found)
        return found


def _hashes_size(hashes: PolicyHashes) -> int:
    """Return the bytes of hashes, and of what else a cache entry for them does not share."""
    named = sum([len(each) for each in hashes.caller if each is not None])
    if hashes.scp is not None or hashes.rcp is not None:
        named += sum([len(level) for each in (hashes.scp, hashes.rcp) for level in each or ()])
    return 1000 + 300 * named


def _shared_objects(basis: DecisionBasis) -> Iterable[Sized]:
    return basis.plan, *basis.plan.documents


def _short_for_caller(decision: policy.Decision) -> str:
    """Return the short reason. Statements of the resource's policies are not named to a caller that they deny."""
    if decision.decided_by in {"resource", "rcp"}:
        return f"{decision.decided_by}: {'explicit deny' if decision.explicit else 'no statement allows it'}"
    return policy.short(decision)


def _requested_tags(extra: Mapping[str, str | tuple[str, ...]]) -> Mapping[str, str]:
    """Return the tags that a request gives to a repository that is yet to be created."""
    prefix = "aws:requesttag/"
    found = {
        key.removeprefix(prefix): value
        for key, value in extra.items()
        if key.startswith(prefix) and isinstance(value, str)
    }
    return found or _NO_TAGS  # always the same object, because contexts are shared by its identity
