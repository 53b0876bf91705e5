"""IAM's policy simulator: the engine's decision on policies that are given or attached.

Nothing is recorded. Condition keys of the connection (address, user agent) are absent unless they are given.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from moorage import pages, policy
from moorage.access import context
from moorage.access.authorize import Access
from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.identity.credentials.credentials import Attached
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import Entity, Role
from moorage.names import AccountId

EvalDecision = Literal["allowed", "implicitDeny", "explicitDeny"]
"""PolicyEvaluationDecisionType of the IAM API."""

EVERYTHING: Final = "*"
MAX_STEPS: Final = 50_000
"""Most actions × resources × statements of one page, about a second of work."""

_REPOSITORY: Final = "arn:${Partition}:ecr:${Region}:${Account}:repository/${RepositoryName}"
_ON_REPOSITORY: Final = frozenset(map(str.lower, policy.ON_REPOSITORY))
_SESSION: Final = "simulated"
_OUTCOME: Final = 500
_MATCHED: Final = 250
_MISSING: Final = 20
"""Bytes of XML for an outcome, a matched statement and a missing key, besides their values."""
_ACTION: Final = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9]+")
_RESTRICTIVENESS: Final[Mapping[EvalDecision, int]] = {"allowed": 0, "implicitDeny": 1, "explicitDeny": 2}


class Source(NamedTuple):
    """A policy of the simulation."""

    id: str
    """SourcePolicyId."""
    type: str
    """`user`, `group`, `role`, `aws-managed`, `user-managed`, `resource`, or `none` for one in the request."""
    document: policy.Document
    arn: str = ""
    """Of a managed policy."""
    owner: str = ""
    """Of an inline policy: the name of its user, group or role."""
    name: str = ""


class Matched(NamedTuple):
    """A statement that determined an outcome."""

    source: str
    type: str
    span: policy.Span


class Outcome(NamedTuple):
    """The decision on one action and one resource."""

    resource: str
    verdict: EvalDecision
    matched: tuple[Matched, ...]
    missing: tuple[str, ...]
    """Condition keys without a value that the policies refer to."""
    boundary_allows: bool | None
    """None if there is no boundary."""
    organization_allows: bool | None
    """Whether every level of SCPs allows it; None if none apply to the caller."""
    by_type: Mapping[str, EvalDecision] | None
    """For a resource of another account: the decision of each policy type."""


class Result(NamedTuple):
    """The decision on one action: the most restrictive of its outcomes, one for each resource."""

    action: str
    resource_form: str
    """The ARN template of the action's resource type, or `*`."""
    verdict: EvalDecision
    outcomes: tuple[Outcome, ...]


class Subject(NamedTuple):
    """The principal whose policies are simulated."""

    caller: policy.Principal
    identity: tuple[Source, ...]
    boundary: tuple[Source, ...] | None
    context: Mapping[str, str | tuple[str, ...]]
    """Condition keys of the caller."""
    scp: tuple[tuple[policy.Named, ...], ...] | None = None
    """SCPs of its account, a tuple a level."""


class Exclusion(NamedTuple):
    """Policies that a simulation excludes. Exactly one member is set."""

    type: str | None = None
    """`inline`, `aws-managed`, `user-managed`, `permission-boundary` or `scp`. Other types match nothing here."""
    arn: str | None = None
    """May contain wildcards in the name."""
    inline: tuple[str, str, str] | None = None
    """Policy name, and kind and name (with wildcards) of the user, group or role it is attached to."""


class Simulator:
    """Collects the attached policies for simulations."""

    def __init__(self, identity: Identity, access: Access, clock: Clock) -> None:
        self._identity = identity
        self._access = access
        self._clock = clock

    async def subject(self, account: AccountId, arn: str) -> Subject:
        """Return the user, group or role with that ARN and its policies. Raise NoSuchEntity, InvalidInput."""
        entity = await self.entity(account, arn)
        sets = await self._identity.credentials.policies_of(entity)
        boundary = None
        if sets.boundary is not None:
            boundary = tuple([await self._source(entity, each, policy.Kind.BOUNDARY) for each in sets.boundary])
        identity = tuple([await self._source(entity, each, policy.Kind.IDENTITY) for each in sets.identity])
        caller = principal(entity)
        tags = {} if entity.kind == "group" else await self._identity.tags.of(entity.id)
        scp = await self._access.service_control(caller)
        return Subject(caller, identity, boundary, self.values(caller, tags), scp)

    async def entity(self, account: AccountId, arn: str) -> Entity:
        """Return the user, group or role with that ARN. Raise NoSuchEntity, InvalidInput."""
        said = arns.parse_identity(arn)
        if said is None:
            raise QueryError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
        found: Entity | None = None
        if said.account == account:
            if said.kind == "user":
                found = await self._identity.users.find(account, said.name)
            elif said.kind == "group":
                found = await self._identity.groups.find(account, said.name)
            else:
                found = await self._identity.roles.find(account, said.name)
        if found is None or found.arn != arn:
            raise QueryError("NoSuchEntity", f"The {said.kind} with name {said.name} cannot be found.", 404)
        return found

    def values(self, caller: policy.Principal, tags: Mapping[str, str]) -> dict[str, str | tuple[str, ...]]:
        """Return the condition keys of a caller, and those for the time."""
        second = int(self._clock.now())
        return {
            **context.of_credential(caller, None),
            **{f"aws:principaltag/{key.lower()}": value for key, value in tags.items()},
            **({} if caller.user_name is None else {"aws:username": caller.user_name}),
            **context.clock(second),
        }

    async def _source(self, entity: Entity, attached: Attached, kind: policy.Kind) -> Source:
        document = await self._access.compiled(attached.hash, kind)
        if attached.source.endswith("managed"):
            return Source(attached.name.rpartition("/")[2], attached.source, document, arn=attached.name)
        owner = attached.group or entity.name
        return Source(
            f"{attached.source}_{owner}_{attached.name}", attached.source, document, owner=owner, name=attached.name
        )


class Simulation:
    """A simulation of one subject and one set of policies."""

    def __init__(
        self,
        subject: Subject,
        *,
        resource_policy: Source | None = None,
        resource_owner: str | None = None,
        given: Mapping[str, str | tuple[str, ...]],
    ) -> None:
        """`given`: context entries, in lower case. They replace the caller's condition keys."""
        self._subject = subject
        self._resource_policy = resource_policy
        self._resource_owner = resource_owner or subject.caller.account
        self._context = {**subject.context, **given}
        self._sets: dict[str, tuple[Source, ...]] = {"identity": subject.identity}
        if subject.boundary is not None:
            self._sets["boundary"] = subject.boundary
        if resource_policy is not None:
            self._sets["resource"] = (resource_policy,)
        self._policies = policy.Policies(
            identity=_named(subject.identity),
            boundary=None if subject.boundary is None else _named(subject.boundary),
            resource=None if resource_policy is None else _named((resource_policy,)),
            scp=subject.scp,
        )
        self._documents = [one.document for each in self._sets.values() for one in each]
        self._documents += [named.document for level in subject.scp or () for named in level]
        keys = {key.lower(): key for each in self._documents for key in policy.context_keys(each)}
        self._missing = tuple(key for folded, key in keys.items() if folded not in self._context)
        self._missing_bytes = sum(_MISSING + len(each) for each in self._missing)
        self._spans: dict[tuple[int, int], policy.Span] = {}

    def actions_per_page(self, resources: int) -> int:
        """Return how many actions fit a page with that many resources. Raise InvalidInput if not even one does."""
        statements = sum(len(each.statements) for each in self._documents)
        most = MAX_STEPS // (max(1, resources) * max(1, statements))
        if most == 0:
            raise _too_large()
        return most

    async def results(self, actions: Sequence[str], resources: Sequence[str]) -> AsyncIterator[Result]:
        """Yield the decision on each action. No resources: on `*`. Raise InvalidInput for an invalid action."""
        for action in actions:
            if _ACTION.fullmatch(action) is None:
                raise QueryError("InvalidInput", f"Invalid Action: {action}")
        for action in actions:
            await asyncio.sleep(0)  # serve other requests between actions
            outcomes = self._outcomes(action, resources or (EVERYTHING,))
            verdict = max((each.verdict for each in outcomes), key=_RESTRICTIVENESS.__getitem__)
            yield Result(action, _resource_form(action), verdict, outcomes)

    def _outcomes(self, action: str, resources: Sequence[str]) -> tuple[Outcome, ...]:
        """Return the outcomes of one action. Raise InvalidInput if they are longer than a page."""
        outcomes, room = [], pages.PAGE_BYTES
        for resource in resources:
            outcome = self._outcome(action, resource)
            room -= _OUTCOME + len(resource) + self._missing_bytes
            room -= sum(_MATCHED + len(each.source) for each in outcome.matched)
            if room < 0:
                raise _too_large()
            outcomes.append(outcome)
        return tuple(outcomes)

    def _outcome(self, action: str, resource: str) -> Outcome:
        caller = self._subject.caller
        account = _account(resource) or self._resource_owner
        values = {**self._context, "aws:resourceaccount": account} if resource != EVERYTHING else self._context
        decision = policy.evaluate(policy.Request(caller, action, resource, account, values), self._policies)
        results = {one.set: one.result for one in decision.trace}
        levels = [one for one in decision.trace if one.set == "scp"]
        by_type = None
        if account != caller.account:
            by_type = {
                title: _verdict(results[name])
                for name, title in (("identity", "IAM Policy"), ("resource", "Resource Policy"))
                if name in results
            }
        return Outcome(
            resource,
            "allowed" if decision.allowed else "explicitDeny" if decision.explicit else "implicitDeny",
            tuple(self._matched(decision)),
            self._missing,
            None if self._subject.boundary is None else results.get("boundary") == "allow",
            None if not levels else all(one.result == "allow" for one in levels),
            by_type,
        )

    def _matched(self, decision: policy.Decision) -> list[Matched]:
        """Return the identity and resource statements that determined it; none for an implicit denial."""
        if not (decision.allowed or decision.explicit):
            return []
        effect = "Allow" if decision.allowed else "Deny"
        return [
            Matched(source.id, source.type, self._span(source, finding.index))
            for one in decision.trace
            if one.set in {"identity", "resource"}
            for source, trace in zip(self._sets[one.set], one.policies, strict=True)
            for finding in trace.statements
            if finding.matched and finding.effect == effect
        ]

    def _span(self, source: Source, index: int) -> policy.Span:
        known = self._spans.get((id(source.document), index))
        if known is None:
            known = self._spans[id(source.document), index] = policy.statement_span(source.document, index)
        return known


def _too_large() -> QueryError:
    return QueryError("InvalidInput", "The simulation is too large: ask for fewer resources at once.")


def principal(entity: Entity) -> policy.Principal:
    """Return the caller in a simulation of a user, of a role (a session of it) or of a group (an unnamed member)."""
    if entity.kind == "role":
        return policy.Principal(
            "role",
            entity.account,
            arns.role_session_arn(entity.account, entity.name, _SESSION),
            f"{entity.id}:{_SESSION}",
            role_arn=entity.arn,
            role_id=entity.id,
            service_linked=isinstance(entity, Role) and entity.service is not None,
        )
    name = entity.name if entity.kind == "user" else None
    return policy.Principal("user", entity.account, entity.arn, entity.id, user_name=name)


def without(subject: Subject, exclusions: Sequence[Exclusion]) -> Subject:
    """Return the subject without the policies that match an exclusion."""
    if not exclusions:
        return subject
    identity = tuple(each for each in subject.identity if not any(_excludes(one, each) for one in exclusions))
    boundary = subject.boundary
    if any(one.type == "permission-boundary" for one in exclusions):
        boundary = None
    scp = None if any(one.type == "scp" for one in exclusions) else subject.scp
    return subject._replace(identity=identity, boundary=boundary, scp=scp)


def _excludes(exclusion: Exclusion, source: Source) -> bool:
    if exclusion.type is not None:
        kind = source.type if source.type.endswith("managed") else "inline"
        return exclusion.type == kind
    if exclusion.arn is not None:
        return bool(source.arn) and _like(source.arn, exclusion.arn)
    if exclusion.inline is not None:
        name, kind, owner = exclusion.inline
        return (source.name, source.type) == (name, kind) and _like(source.owner, owner)
    return False


def _like(text: str, pattern: str) -> bool:
    """Match `*` and `?`. At most one `*` is allowed, so that matching is fast."""
    if pattern.count("*") > 1:
        raise QueryError("InvalidInput", f"More than one * in {pattern}")
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _named(sources: Sequence[Source]) -> tuple[policy.Named, ...]:
    return tuple(policy.Named(each.id, "", each.document) for each in sources)


def _account(resource: str) -> str | None:
    """Return the account in an ARN; None if there is none."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and len(parts[4]) == 12 and parts[4].isdigit() else None


def _resource_form(action: str) -> str:
    return _REPOSITORY if action.lower() in _ON_REPOSITORY else EVERYTHING


def _verdict(result: str) -> EvalDecision:
    if result == "allow":
        return "allowed"
    return "explicitDeny" if result == "deny" else "implicitDeny"
