"""Every decision: the caller's identity policies and the repository's, on every request, before anything is done."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
import structlog

from moorage import cache, metrics, policy
from moorage.access import context, guardrails
from moorage.access.caller import Caller, Connection
from moorage.access.recording import DecisionEntry, DecisionLog
from moorage.access.recovery import RECOVERY_RULE, may_recover
from moorage.access.registry_policy import reaching
from moorage.cache import Cache, Sized, footprint
from moorage.clock import Clock
from moorage.errors import AccessDenied
from moorage.identity.accounts.organizations import Levels, Organizations
from moorage.identity.credentials.credentials import Attached, PolicySets
from moorage.identity.policies import aws_managed
from moorage.names import AccountId, Region, RepositoryRef, repository_arn
from moorage.policy.caches import REMEMBERED
from moorage.registry import registry as registries
from moorage.settings import Settings
from moorage.store.metadata.epoch import Epoch, EpochCache

REPOSITORY_POLICY = "RepositoryPolicy"
REGISTRY_POLICY = "RegistryPolicy"
"""What policies of the resource are called in a decision."""
_KEPT = 24 << 20
"""Bytes of compiled policies that each cache may hold. Mostly they hold the same ones."""
_ANSWERS = 8 << 20
"""Bytes of what plans found out for the values of condition keys."""
_NO_TAGS: Mapping[str, str] = {}
_NO_POLICIES = PolicySets()
_log = structlog.get_logger()
for _name, (_function, _entry) in REMEMBERED.items():
    cache.measured(_name, _function, _entry)
cache.measured("repository_arns", repository_arn, 1_500)


class Registry(NamedTuple):
    """An action on a registry as a whole: on all its repositories, or (`*`) on no resource."""

    account: AccountId
    region: Region
    all_repositories: bool = False


class NamedResource(NamedTuple):
    """A resource of another service, by its ARN."""

    account: AccountId
    arn: str
    trust: str | None = None
    """Of a role to be taken on: the hash of its trust policy; empty when there is no such role."""


class DeletedRepository(NamedTuple):
    """A repository in the trash: its own tags and policy count, not those of one that has its name now."""

    ref: RepositoryRef
    id: int

    @property
    def region(self) -> Region:
        return self.ref.region


Resource: TypeAlias = RepositoryRef | DeletedRepository | Registry | NamedResource


class Attachment(NamedTuple):
    """What policies a decision is made on, by their hashes: who has equal ones is decided on the same."""

    caller: PolicySets
    repository: str | None
    registry: str | None
    scp: Levels | None = None
    rcp: Levels | None = None
    trust: str | None = None
    """As in `NamedResource`."""


class Standing(NamedTuple):
    """What a caller's requests for an action on a resource rest on, for as long as the authorisation epoch stands."""

    attachment: Attachment
    plan: policy.Plan
    """Of these policies."""
    account: AccountId
    """Whose the resource is."""
    arn: str
    tags: Mapping[str, str] | None
    """Of the repository. None: there is none, so that those count that the request gives it."""
    keys: Mapping[str, str | tuple[str, ...]]
    """Condition keys of the organisation."""


class Access:
    """Decides, records, and refuses."""

    def __init__(
        self,
        registry: registries.Registry,
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
        self._policies: Cache[Attachment, policy.Policies] = Cache(
            "policy_sets", _KEPT, lambda key, _: _attachment_size(key), policy.Policies.documents
        )
        self._plans: Cache[tuple[Attachment, policy.Principal, str], policy.Plan] = Cache(
            "policy_plans", _KEPT, lambda key, plan: _attachment_size(key[0]) + plan.size, lambda plan: plan.documents
        )
        self._answers: Cache[tuple[object, ...], Any] = Cache("policy_answers", _ANSWERS, policy.answer_size)
        self._standings: EpochCache[tuple[policy.Principal, PolicySets, str, Resource], Standing] = EpochCache(
            "standings", _KEPT, "value", lambda _, standing: _attachment_size(standing.attachment), _held_by_standing
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
        """Go on only if `caller` may `action` on `resource`; else AccessDenied with AWS's sentence.

        `extra`: condition keys of the operation, in lower case. `decision_id`: under which it is recorded.
        """
        standing = await self._standing(caller, action, resource)
        entry = self._recorded(self._decide(standing, caller, connection, resource, extra, decision_id), connection)
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
        if caller.principal.kind == "anonymous":  # nobody learns how a policy is made by not signing in (design §4)
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
        """The same decision, recorded too, as a value."""
        standing = await self._standing(caller, action, resource)
        entry = self._recorded(self._decide(standing, caller, connection, resource, extra, None), connection)
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
        """The same decision about what an answer may show. Nobody asked for it by name, so it is not recorded."""
        standing = await self._standing(caller, action, resource)
        return self._decide(standing, caller, connection, resource, extra, None).decision.allowed

    async def would_allow(
        self, caller: Caller, connection: Connection, action: str, ref: RepositoryRef, document: policy.Document
    ) -> bool:
        """Would `caller` be allowed if `document` were the repository's policy? Not recorded, no way out for root."""
        standing = await self._standing(caller, action, ref)
        name = hashlib.sha256(document.text.encode()).hexdigest()  # as documents are named that are stored
        self._compiled.keep((name, document.kind), document)
        plan = await self._plan(standing.attachment._replace(repository=name), caller.principal, action)
        tags = standing.tags or _NO_TAGS
        values = self._contexts.of(caller, connection, self._clock.now(), ref.account, tags, standing.keys, _NO_TAGS)
        return plan.decide(ref.arn, ref.account, values).allowed

    def _decide(
        self,
        standing: Standing,
        caller: Caller,
        connection: Connection,
        resource: Resource,
        extra: Mapping[str, str | tuple[str, ...]],
        decision_id: str | None,
    ) -> DecisionEntry:
        _, plan, account, arn, tags, keys = standing
        if tags is None:
            tags = _requested_tags(extra)
        now = self._clock.now()
        decision = plan.decide(arn, account, self._contexts.of(caller, connection, now, account, tags, keys, extra))
        if not decision.allowed and self._recovers(caller, decision, plan.policies):
            decision = msgspec.structs.replace(
                decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
            )
        region = connection.region if isinstance(resource, NamedResource) else resource.region
        told = "" if decision.allowed else decision_id or str(uuid.uuid4())
        return DecisionEntry(told, now, now, region, decision, plan.policies, caller)

    def _recorded(self, made: DecisionEntry, connection: Connection) -> DecisionEntry:
        """The entry of the record that stands for this one."""
        entry = self._recorder.record(made)
        connection.decisions.append(entry)
        (self._allowed if entry.decision.allowed else self._denied).inc()
        return entry

    def _recovers(self, caller: Caller, decision: policy.Decision, policies: policy.Policies) -> bool:
        return self._settings.root_recovers and may_recover(decision, policies, verified=caller.verified)

    async def _standing(self, caller: Caller, action: str, resource: Resource) -> Standing:
        """What such requests rest on; kept for as long as the epoch stands."""
        at = await self._repositories.current_epoch()
        key = (caller.principal, caller.policies, action, resource)
        standing = self._standings.known(key, at)
        if standing is None:
            standing = await self._stand(caller, action, resource, at)
            self._standings.keep(key, standing, at)
        return standing

    async def _stand(self, caller: Caller, action: str, resource: Resource, at: Epoch) -> Standing:
        """What they rest on under that epoch."""
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
            tags = None if state is None else state.tags or _NO_TAGS  # one for all, so that their contexts are alike
            policy_hash = None if state is None else state.policy_hash
        elif isinstance(resource, Registry):
            account, region = resource.account, resource.region
            arn = repository_arn(account, region, "*") if resource.all_repositories else "*"
        else:
            account, arn, trust = resource
        attachment, keys = await self._applying(caller.principal, action, account, region, at)
        attachment = attachment._replace(caller=caller.policies, repository=policy_hash, trust=trust)
        plan = await self._plan(attachment, caller.principal, action)
        return Standing(attachment, plan, account, arn, tags, keys)

    async def _plan(self, attachment: Attachment, principal: policy.Principal, action: str) -> policy.Plan:
        """Kept, as the texts of policies never change."""
        plan = self._plans.get((attachment, principal, action))
        if plan is None:
            plan = policy.Plan(principal, action, await self._attached(attachment), self._answers)
            self._plans.keep((attachment, principal, action), plan)
        return plan

    async def _applying(
        self, principal: policy.Principal, action: str, account: AccountId, region: Region | None, at: Epoch
    ) -> tuple[Attachment, Mapping[str, str | tuple[str, ...]]]:
        """Return the policies that apply beside the caller's and the repository's or role's own, and condition keys.

        The keys are those of the organization. `region`: None for a resource that is in no registry. `at`: the epoch,
        which was just read.
        """
        registry_policy = None
        if region is not None:
            registry_policy = reaching(action, await self._registry_policies.state(account, region, at))
        members = await self._organizations.members(at)
        if not members:
            return Attachment(_NO_POLICIES, None, registry_policy), _NO_TAGS
        attachment = Attachment(
            _NO_POLICIES,
            None,
            registry_policy,
            guardrails.scp(members, principal),
            guardrails.rcp(members, account, action, in_registry=region is not None),
        )
        return attachment, guardrails.keys(members, principal, account)

    async def _attached(self, attachment: Attachment) -> policy.Policies:
        """The policies that apply, compiled; kept, as their texts never change."""
        known = self._policies.get(attachment)
        if known is not None:
            return known
        resource = []
        for name, hash_, kind in (
            (REPOSITORY_POLICY, attachment.repository, policy.Kind.REPOSITORY),
            (REGISTRY_POLICY, attachment.registry, policy.Kind.REGISTRY),
        ):
            if hash_ is not None:
                resource.append(policy.Named(name, hash_, await self.compiled(hash_, kind)))
        policies = msgspec.structs.replace(
            await self.own(attachment.caller),
            resource=tuple(resource) or None,
            trust=await self._trust(attachment.trust),
            scp=await self._levels(attachment.scp, policy.Kind.SCP),
            rcp=await self._levels(attachment.rcp, policy.Kind.RCP),
        )
        self._policies.keep(attachment, policies)
        return policies

    async def _trust(self, name: str | None) -> tuple[policy.Named, ...] | None:
        """As in `NamedResource`: None where no role is taken on, empty where there is none to take on."""
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
        """The SCPs that bind the principal's account, a tuple a level; None where none do."""
        return await self._levels(guardrails.scp(await self._organizations.members(), principal), policy.Kind.SCP)

    async def applicable_policies(
        self, principal: policy.Principal, action: str, account: AccountId, region: Region, at: Epoch
    ) -> tuple[policy.Policies, Mapping[str, str | tuple[str, ...]]]:
        """What else counts when `principal` asks for `action` in a registry: the registry policy and the guard rails.

        With the organisation's condition keys. Its own policies and a repository's are not among them. `at`: the epoch,
        which was just read.
        """
        attachment, keys = await self._applying(principal, action, account, region, at)
        return await self._attached(attachment), keys

    async def own(self, sets: PolicySets) -> policy.Policies:
        """What comes with a caller, compiled."""
        boundary, session = sets.boundary, sets.session
        return policy.Policies(
            identity=await self._named(sets.identity, policy.Kind.IDENTITY),
            boundary=None if boundary is None else await self._named(boundary, policy.Kind.BOUNDARY),
            session=None if session is None else await self._named(session, policy.Kind.SESSION),
        )

    async def _named(self, attached: tuple[Attached, ...], kind: policy.Kind) -> tuple[policy.Named, ...]:
        return tuple([policy.Named(each.label, each.hash, await self.compiled(each.hash, kind)) for each in attached])

    async def compiled(self, name: str, kind: policy.Kind) -> policy.Document:
        """The policy document of that hash, ready to be evaluated. LookupError when there is none."""
        found = self._compiled.get((name, kind))
        if found is None:
            found = policy.parse(aws_managed.document(name) or await self._documents.document(name), kind)
            self._compiled.keep((name, kind), found)
        return found


def _attachment_size(attachment: Attachment) -> int:
    """Bytes of an attachment, and of what else an entry that is kept by one has for its own."""
    named = sum([len(each) for each in attachment.caller if each is not None])
    if attachment.scp is not None or attachment.rcp is not None:
        named += sum([len(level) for each in (attachment.scp, attachment.rcp) for level in each or ()])
    return 1000 + 300 * named


def _held_by_standing(standing: Standing) -> Iterable[Sized]:
    return standing.plan, *standing.plan.documents


def _short_for_caller(decision: policy.Decision) -> str:
    """The short reason; statements of the resource's own policies are not named to whoever it refuses."""
    if decision.decided_by in {"resource", "rcp"}:
        return f"{decision.decided_by}: {'explicit deny' if decision.explicit else 'no statement allows it'}"
    return policy.short(decision)


def _requested_tags(extra: Mapping[str, str | tuple[str, ...]]) -> Mapping[str, str]:
    """A repository to be made has the tags that the request gives it."""
    prefix = "aws:requesttag/"
    found = {
        key.removeprefix(prefix): value
        for key, value in extra.items()
        if key.startswith(prefix) and isinstance(value, str)
    }
    return found or _NO_TAGS  # always the same one, by which contexts are told apart
