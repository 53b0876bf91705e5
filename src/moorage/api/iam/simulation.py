"""The policy simulator: Simulate{Principal,Custom}Policy, GetContextKeysFor{Principal,Custom}Policy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from moorage import policy
from moorage.access.authorize import Resource
from moorage.analysis.simulate import (
    EVERYTHING,
    Exclusion,
    Matched,
    Outcome,
    Result,
    Simulation,
    Source,
    Subject,
    principal,
    without,
)
from moorage.api.aws.query import Entries, Parameters, Value, checked
from moorage.api.iam import fields, paging
from moorage.api.iam.service import IAM, IamCall, in_account, nothing
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.names import InvalidNameError, account_id

_TYPES: Final = (
    "string",
    "stringList",
    "numeric",
    "numericList",
    "boolean",
    "booleanList",
    "ip",
    "ipList",
    "binary",
    "binaryList",
    "date",
    "dateList",
)
_EXCLUDED: Final = ("inline", "aws-managed", "user-managed", "permission-boundary", "scp", "rcp")
_KINDS: Final = ("user", "group", "role")
_OF_ECR: Final = ("ecr:", "moorage:")


async def _the_source(call: IamCall, request: Parameters) -> Sequence[Resource]:
    return in_account(call, fields.arn(request, "PolicySourceArn"))


class _Asked(NamedTuple):
    """What a request asks, apart from whose policies are simulated."""

    actions: list[str]
    resources: list[str]
    given: tuple[Source, ...]
    boundary: tuple[Source, ...]
    resource_policy: Source | None
    resource_owner: str | None
    caller_arn: str | None
    context: dict[str, str | tuple[str, ...]]
    most: int
    begin: int
    """Index of the page's first action."""

    @classmethod
    def read(cls, request: Parameters) -> "_Asked":
        boundary = _given(request, "PermissionsBoundaryPolicyInputList", policy.Kind.BOUNDARY)
        if len(boundary) > 1:
            raise QueryError("InvalidInput", "There can be only one permissions boundary.")
        after = paging.after(request)
        actions = _listed(request, "ActionNames", 3, 128) or [request.required("ActionNames.member.1")]
        return cls(
            actions,
            _listed(request, "ResourceArns", 1, 2048),
            _given(request, "PolicyInputList"),
            boundary,
            _resource_policy(request, actions),
            _owner(request),
            fields.optional_caller(request),
            _context(request),
            paging.limit(request),
            int(after) if after.isascii() and after.isdigit() else 0,
        )


@IAM.operation("SimulatePrincipalPolicy", action="iam:SimulatePrincipalPolicy", resource=_the_source)
async def simulate_principal_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The policies of a user (with its groups'), group or role, and those given besides."""
    asked, exclusions = _Asked.read(request), _exclusions(request)
    subject = await call.services.simulator.subject(call.account, fields.arn(request, "PolicySourceArn"))
    subject = without(subject, exclusions)
    return await _simulated(call, asked, subject._replace(identity=(*subject.identity, *asked.given)))


@IAM.operation("SimulateCustomPolicy", action="iam:SimulateCustomPolicy", resource=nothing)
async def simulate_custom_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """The policies given, and no others; service control policies too, a level after another."""
    asked = _Asked.read(request)
    if not asked.given:
        request.required("PolicyInputList.member.1")
    if asked.resource_policy is not None and asked.caller_arn is None:
        raise QueryError("InvalidInput", "CallerArn is required when ResourcePolicy is given.")
    nobody = policy.Principal("user", call.account, f"arn:aws:iam::{call.account}:user/simulated", "simulated")
    values = call.services.simulator.values(nobody, {})
    return await _simulated(call, asked, Subject(nobody, asked.given, None, values, _given_levels(request)))


async def _simulated(call: IamCall, asked: _Asked, subject: Subject) -> Mapping[str, Value]:
    if asked.boundary:
        subject = subject._replace(boundary=asked.boundary)
    if asked.caller_arn is not None:
        subject = await _called_by(call, subject, asked.caller_arn)
    simulation = Simulation(
        subject, resource_policy=asked.resource_policy, resource_owner=asked.resource_owner, given=asked.context
    )
    end = asked.begin + min(asked.most, simulation.page(len(asked.resources)))
    page = paging.Page(asked.most, "EvaluationResults")
    following = asked.begin
    async for each in simulation.results(asked.actions[asked.begin : end], asked.resources):
        following += 1
        if not page.takes("EvaluationResults", _result(each, asked.resources), str(following)):
            break
    return page.answer(more=len(asked.actions) > end)


@IAM.operation("GetContextKeysForCustomPolicy", action="iam:GetContextKeysForCustomPolicy", resource=nothing)
async def get_context_keys_for_custom_policy(_call: IamCall, request: Parameters) -> Mapping[str, Value]:
    given = _given(request, "PolicyInputList")
    if not given:
        request.required("PolicyInputList.member.1")
    return {"ContextKeyNames": _keys(given)}


@IAM.operation("GetContextKeysForPrincipalPolicy", action="iam:GetContextKeysForPrincipalPolicy", resource=_the_source)
async def get_context_keys_for_principal_policy(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    subject = await call.services.simulator.subject(call.account, fields.arn(request, "PolicySourceArn"))
    return {"ContextKeyNames": _keys((*subject.identity, *_given(request, "PolicyInputList")))}


def _keys(sources: Iterable[Source]) -> list[Value]:
    keys: dict[str, str] = {}
    for source in sources:
        for key in policy.context_keys(source.document):
            keys.setdefault(key.lower(), key)
    return list(keys.values())


def _listed(request: Parameters, field: str, least: int, most: int) -> list[str]:
    return [checked(field, each, fields.ANY, least, most) for each in request.members(field)]


def _given(request: Parameters, field: str, kind: policy.Kind = policy.Kind.IDENTITY) -> tuple[Source, ...]:
    """The policies that a request brings with it. InvalidInput."""
    return tuple(
        Source(f"{field}.{number}", "none", _document(fields.document_text(field, text), kind))
        for number, text in enumerate(request.members(field), 1)
    )


def _given_levels(request: Parameters) -> tuple[tuple[policy.Named, ...], ...] | None:
    """The service control policies that a request brings with it, by level; None when there is none. InvalidInput."""
    levels = [
        tuple(
            policy.Named(each.id, "", each.document)
            for each in _given(level, "ServiceControlPolicyInputList", policy.Kind.SCP)
        )
        for level in request.structures("OrderedOrganizationPolicyInputList")
    ]
    return tuple(levels) or None


def _resource_policy(request: Parameters, actions: Sequence[str]) -> Source | None:
    """Return the policy of a resource of any service. Raises InvalidInput.

    In a simulation of ECR's actions it is read as a repository or registry policy if it is one, as SetRepositoryPolicy
    and PutRegistryPolicy read it.
    """
    if request.get("ResourcePolicy") is None:
        return None
    text = fields.document(request, "ResourcePolicy")
    if all(each.lower().startswith(_OF_ECR) for each in actions):
        for kind in (policy.Kind.REPOSITORY, policy.Kind.REGISTRY):
            found = policy.parsed(text, kind)
            if not found.errors:
                return Source("ResourcePolicy", "resource", found.document())
    return Source("ResourcePolicy", "resource", _document(text, policy.Kind.RESOURCE))


def _document(text: str, kind: policy.Kind) -> policy.Document:
    """Return the document if IAM takes it. Raises InvalidInput."""
    found = policy.parsed(text, kind)
    refused = policy.refusal(found)
    if refused is not None:
        raise QueryError("InvalidInput", f"Invalid policy: {refused}")
    return found.document()


async def _called_by(call: IamCall, subject: Subject, arn: str) -> Subject:
    """The subject's policies, as if that user, group or role had them. Of another account it need not be here."""
    said = arns.parse_identity(arn)
    if said is None:
        raise QueryError("InvalidInput", f"Invalid caller: {arn} is not the ARN of a user, group or role.")
    simulator = call.services.simulator
    if said.account == call.account:
        entity = await simulator.entity(call.account, arn)
        caller, tags = principal(entity), await call.services.identity.tags.of(entity.id)
    else:
        caller, tags = policy.Principal("user", said.account, arn, arn, user_name=said.name), {}
        if said.kind == "role":
            session = arns.role_session_arn(said.account, said.name, "simulated")
            caller = policy.Principal("role", said.account, session, session, role_arn=arn)
    return subject._replace(caller=caller, context=simulator.values(caller, tags))


def _owner(request: Parameters) -> str | None:
    """ResourceOwner: an account id, or the ARN of an account's root."""
    given = request.get("ResourceOwner")
    if given is None:
        return None
    named = policy.account_named(checked("ResourceOwner", given, fields.ANY, 1, 2048))
    try:
        return account_id(given if named is None else named)
    except InvalidNameError as error:
        raise QueryError("InvalidInput", f"Invalid resource owner: {given[:100]}") from error


def _context(request: Parameters) -> dict[str, str | tuple[str, ...]]:
    """Context entries by key in lower case; lists are multivalued."""
    values: dict[str, str | tuple[str, ...]] = {}
    for entry in request.structures("ContextEntries"):
        key = checked("ContextKeyName", entry.required("ContextKeyName"), fields.ANY, 5, 256).lower()
        kind = fields.choice(entry, "ContextKeyType", _TYPES) or "string"
        given = tuple(entry.members("ContextKeyValues"))
        if kind.endswith("List"):
            values[key] = given
        elif len(given) == 1:
            values[key] = given[0]
        elif given:
            raise QueryError("InvalidInput", f"Invalid context entry: {key} has several values but is no list.")
    return values


def _exclusions(request: Parameters) -> list[Exclusion]:
    found = []
    for each in request.structures("PolicyExclusionList"):
        inline, arn = each.structure("InlinePolicyIdentifier"), fields.optional_arn(each, "PolicyArn")
        kind = fields.choice(each, "PolicyType", _EXCLUDED)
        if sum(one is not None for one in (inline, arn, kind)) != 1:
            raise QueryError("InvalidInput", "A policy identifier has exactly one of its members.")
        if inline is None:
            found.append(Exclusion(kind, arn))
            continue
        inline.required("AttachmentType")
        attached = fields.choice(inline, "AttachmentType", _KINDS) or ""
        name = fields.name(inline, "PolicyName")
        found.append(Exclusion(inline=(name, attached, inline.required("AttachmentName"))))
    return found


def _result(result: Result, resources: Sequence[str]) -> Value:
    """Return the result of one action: over all resources, and under it of each one that the request names.

    EvalResourceName is the resource that the request names, or `*`. For several resources it is the ARN's template, as
    the service model has it.
    """
    outcomes = result.outcomes
    name = result.resource_form if len(outcomes) > 1 else outcomes[0].resource
    answer: dict[str, Value] = {
        "EvalActionName": result.action,
        "EvalResourceName": name,
        "EvalDecision": result.verdict,
        "MatchedStatements": _statements(
            dict.fromkeys(one for each in outcomes if each.verdict == result.verdict for one in each.matched)
        ),
        "MissingContextValues": list(dict.fromkeys(key for each in outcomes for key in each.missing)),
        **_boundary(all(each.boundary_allows for each in outcomes), outcomes[0]),
        **_organization(outcomes),
    }
    if resources and list(resources) != [EVERYTHING]:
        answer["EvalDecisionDetails"] = Entries(_details(outcomes))
        answer["ResourceSpecificResults"] = [_outcome(each) for each in outcomes]
    return answer


def _outcome(outcome: Outcome) -> Value:
    return {
        "EvalResourceName": outcome.resource,
        "EvalResourceDecision": outcome.verdict,
        "MatchedStatements": _statements(outcome.matched),
        "MissingContextValues": list(outcome.missing),
        "EvalDecisionDetails": None if outcome.by_type is None else Entries(outcome.by_type),
        **_boundary(bool(outcome.boundary_allows), outcome),
    }


def _details(outcomes: Iterable[Outcome]) -> dict[str, Value]:
    """Of each policy type the most restrictive decision; empty within one account."""
    worst: dict[str, Value] = {}
    order = ("allowed", "implicitDeny", "explicitDeny")
    for outcome in outcomes:
        for name, verdict in (outcome.by_type or {}).items():
            known = worst.get(name)
            if known is None or order.index(verdict) > order.index(str(known)):
                worst[name] = verdict
    return worst


def _boundary(allows: bool, outcome: Outcome) -> dict[str, Value]:
    if outcome.boundary_allows is None:
        return {}
    return {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": allows}}


def _statements(matched: Iterable[Matched]) -> list[Value]:
    return [
        {
            "SourcePolicyId": each.source,
            # As IAM returns it, and not as its service model has it (`user`, `aws-managed`, `resource`, …).
            "SourcePolicyType": "Resource Policy" if each.type == "resource" else "IAM Policy",
            "StartPosition": {"Line": each.span.start.line, "Column": each.span.start.column},
            "EndPosition": {"Line": each.span.end.line, "Column": each.span.end.column},
        }
        for each in matched
    ]


def _organization(outcomes: Sequence[Outcome]) -> dict[str, Value]:
    if outcomes[0].organization_allows is None:
        return {}
    allowed = all(each.organization_allows for each in outcomes)
    return {"OrganizationsDecisionDetail": {"AllowedByOrganizations": allowed}}
