"""The policy simulator: Simulate{Principal,Custom}Policy, GetContextKeysFor{Principal,Custom}Policy."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from moorage import policy
from moorage.access.resources import Resource
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
from moorage.api.aws import query
from moorage.api.iam import paging, shapes
from moorage.api.iam.service import IamCall, in_account
from moorage.errors import QueryError
from moorage.identity import arns
from moorage.names import InvalidNameError, account_id

_OF_ECR: Final = ("ecr:", "moorage:")
_SimulationRequest: TypeAlias = shapes.SimulatePrincipalPolicyRequest | shapes.SimulateCustomPolicyRequest


async def the_source(
    call: IamCall,
    request: shapes.SimulatePrincipalPolicyRequest | shapes.GetContextKeysForPrincipalPolicyRequest,
) -> Sequence[Resource]:
    return in_account(call, request.policy_source_arn)


class _Question(NamedTuple):
    """What a request asks, apart from whose policies are simulated."""

    actions: Sequence[str]
    resources: Sequence[str]
    given: tuple[Source, ...]
    boundary: tuple[Source, ...]
    resource_policy: Source | None
    resource_owner: str | None
    caller_arn: str | None
    context: dict[str, str | tuple[str, ...]]
    most: int
    begin: int
    """Index of the page's first action."""


def _question(request: _SimulationRequest) -> _Question:
    boundary = _given(
        "PermissionsBoundaryPolicyInputList", request.permissions_boundary_policy_input_list, policy.Kind.BOUNDARY
    )
    if len(boundary) > 1:
        raise QueryError("InvalidInput", "There can be only one permissions boundary.")
    _check_not_empty("ActionNames", request.action_names)
    most, after = paging.limits(request)
    return _Question(
        request.action_names,
        request.resource_arns or [],
        _given("PolicyInputList", request.policy_input_list),
        boundary,
        _resource_policy(request),
        _owner(request.resource_owner),
        request.caller_arn,
        _context(request.context_entries or ()),
        most,
        int(after) if after.isascii() and after.isdigit() else 0,
    )


async def simulate_principal_policy(
    call: IamCall, request: shapes.SimulatePrincipalPolicyRequest
) -> shapes.SimulatePolicyResponse:
    """Simulate the policies of a user (with its groups'), group or role, and those that the request adds."""
    question, exclusions = _question(request), _exclusions(request.policy_exclusion_list or ())
    subject = await call.services.simulator.subject(call.account, request.policy_source_arn)
    subject = without(subject, exclusions)
    return await _simulated(call, question, subject._replace(identity=(*subject.identity, *question.given)))


async def simulate_custom_policy(
    call: IamCall, request: shapes.SimulateCustomPolicyRequest
) -> shapes.SimulatePolicyResponse:
    """Simulate only the policies that the request has, service control policies included, level by level."""
    question = _question(request)
    _check_not_empty("PolicyInputList", request.policy_input_list)
    if question.resource_policy is not None and question.caller_arn is None:
        raise QueryError("InvalidInput", "CallerArn is required when ResourcePolicy is given.")
    nobody = policy.Principal("user", call.account, f"arn:aws:iam::{call.account}:user/simulated", "simulated")
    values = call.services.simulator.values(nobody, {})
    return await _simulated(call, question, Subject(nobody, question.given, None, values, _given_levels(request)))


async def _simulated(call: IamCall, question: _Question, subject: Subject) -> shapes.SimulatePolicyResponse:
    if question.boundary:
        subject = subject._replace(boundary=question.boundary)
    if question.caller_arn is not None:
        subject = await _called_by(call, subject, question.caller_arn)
    simulation = Simulation(
        subject,
        resource_policy=question.resource_policy,
        resource_owner=question.resource_owner,
        given=question.context,
    )
    end = question.begin + min(question.most, simulation.actions_per_page(len(question.resources)))
    room, results, following = paging.PageRoom(question.most), list[shapes.EvaluationResult](), question.begin
    async for each in simulation.results(question.actions[question.begin : end], question.resources):
        following += 1
        result = _result(each, question.resources)
        if not room.takes(result, str(following)):
            break
        results.append(result)
    marker = room.marker(more=len(question.actions) > end)
    return shapes.SimulatePolicyResponse(evaluation_results=results, is_truncated=marker is not None, marker=marker)


async def get_context_keys_for_custom_policy(
    _call: IamCall, request: shapes.GetContextKeysForCustomPolicyRequest
) -> shapes.GetContextKeysForPolicyResponse:
    _check_not_empty("PolicyInputList", request.policy_input_list)
    return _context_keys(_given("PolicyInputList", request.policy_input_list))


async def get_context_keys_for_principal_policy(
    call: IamCall, request: shapes.GetContextKeysForPrincipalPolicyRequest
) -> shapes.GetContextKeysForPolicyResponse:
    subject = await call.services.simulator.subject(call.account, request.policy_source_arn)
    return _context_keys((*subject.identity, *_given("PolicyInputList", request.policy_input_list)))


def _context_keys(sources: Iterable[Source]) -> shapes.GetContextKeysForPolicyResponse:
    keys: dict[str, str] = {}
    for source in sources:
        for key in policy.context_keys(source.document):
            keys.setdefault(key.lower(), key)
    return shapes.GetContextKeysForPolicyResponse(context_key_names=list(keys.values()))


def _check_not_empty(member: str, given: Sequence[str]) -> None:
    """Raise ValidationError for an empty list: the model has no bound, but there is nothing to simulate."""
    if not given:
        raise query.invalid(member, None, "Member must not be null")


def _given(member: str, texts: Sequence[str] | None, kind: policy.Kind = policy.Kind.IDENTITY) -> tuple[Source, ...]:
    """Return the policies that a request has in a member. Raises InvalidInput."""
    return tuple(
        Source(f"{member}.{number}", "none", _document(text, kind)) for number, text in enumerate(texts or (), 1)
    )


def _given_levels(request: shapes.SimulateCustomPolicyRequest) -> tuple[tuple[policy.Named, ...], ...] | None:
    """Return the service control policies that a request has, by level; None if it has none. Raises InvalidInput."""
    member, kind = "ServiceControlPolicyInputList", policy.Kind.SCP
    levels = [
        tuple(
            policy.Named(each.id, "", each.document)
            for each in _given(member, level.service_control_policy_input_list, kind)
        )
        for level in request.ordered_organization_policy_input_list or ()
    ]
    return tuple(levels) or None


def _resource_policy(request: _SimulationRequest) -> Source | None:
    """Return the policy of a resource of any service. Raises InvalidInput.

    In a simulation of ECR's actions it is read as a repository or registry policy if it is one, as SetRepositoryPolicy
    and PutRegistryPolicy read it.
    """
    text = request.resource_policy
    if text is None:
        return None
    if all(each.lower().startswith(_OF_ECR) for each in request.action_names):
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
    """Return the subject's policies as if that user, group or role had them. In another account it need not exist."""
    parsed = arns.parse_identity(arn)
    if parsed is None:
        raise QueryError("InvalidInput", f"Invalid caller: {arn} is not the ARN of a user, group or role.")
    simulator = call.services.simulator
    if parsed.account == call.account:
        entity = await simulator.entity(call.account, arn)
        caller, tags = principal(entity), await call.services.identity.tags.of(entity.id)
    else:
        caller, tags = policy.Principal("user", parsed.account, arn, arn, user_name=parsed.name), {}
        if parsed.kind == "role":
            session = arns.role_session_arn(parsed.account, parsed.name, "simulated")
            caller = policy.Principal("role", parsed.account, session, session, role_arn=arn)
    return subject._replace(caller=caller, context=simulator.values(caller, tags))


def _owner(given: str | None) -> str | None:
    """Return the account that ResourceOwner names: by its id, or by the ARN of its root. Raises InvalidInput."""
    if given is None:
        return None
    named = policy.account_named(given)
    try:
        return account_id(given if named is None else named)
    except InvalidNameError as error:
        raise QueryError("InvalidInput", f"Invalid resource owner: {given[:100]}") from error


def _context(entries: Iterable[shapes.ContextEntry]) -> dict[str, str | tuple[str, ...]]:
    """Return context entries by key in lower case; lists are multivalued.

    Raises ValidationError for an entry without a key, InvalidInput for one with several values that is no list.
    """
    values: dict[str, str | tuple[str, ...]] = {}
    for entry in entries:
        if entry.context_key_name is None:
            raise query.invalid("ContextKeyName", None, "Member must not be null")
        key = entry.context_key_name.lower()
        given = tuple(entry.context_key_values or ())
        if (entry.context_key_type or "string").endswith("List"):
            values[key] = given
        elif len(given) == 1:
            values[key] = given[0]
        elif given:
            raise QueryError("InvalidInput", f"Invalid context entry: {key} has several values but is no list.")
    return values


def _exclusions(identifiers: Iterable[shapes.PolicyIdentifier]) -> list[Exclusion]:
    """Return the policies that a simulation leaves out. Raises InvalidInput."""
    found = []
    for each in identifiers:
        inline = each.inline_policy_identifier
        if sum(one is not None for one in (inline, each.policy_arn, each.policy_type)) != 1:
            raise QueryError("InvalidInput", "A policy identifier has exactly one of its members.")
        if inline is None:
            found.append(Exclusion(each.policy_type, each.policy_arn))
        else:
            found.append(Exclusion(inline=(inline.policy_name, inline.attachment_type, inline.attachment_name)))
    return found


def _result(result: Result, resources: Sequence[str]) -> shapes.EvaluationResult:
    """Return the result of one action: over all resources, and for each one that the request names.

    EvalResourceName is the resource that the request names, or `*`. For several resources it is the ARN's template, as
    the service model has it.
    """
    outcomes = result.outcomes
    one_by_one = bool(resources) and list(resources) != [EVERYTHING]
    return shapes.EvaluationResult(
        eval_action_name=result.action,
        eval_resource_name=result.resource_form if len(outcomes) > 1 else outcomes[0].resource,
        eval_decision=result.verdict,
        matched_statements=_statements(
            dict.fromkeys(one for each in outcomes if each.verdict == result.verdict for one in each.matched)
        ),
        missing_context_values=list(dict.fromkeys(key for each in outcomes for key in each.missing)),
        permissions_boundary_decision_detail=_boundary(all(each.boundary_allows for each in outcomes), outcomes[0]),
        organizations_decision_detail=_organization(outcomes),
        eval_decision_details=_details(outcomes) if one_by_one else None,
        resource_specific_results=[_outcome(each) for each in outcomes] if one_by_one else None,
    )


def _outcome(outcome: Outcome) -> shapes.ResourceSpecificResult:
    return shapes.ResourceSpecificResult(
        eval_resource_name=outcome.resource,
        eval_resource_decision=outcome.verdict,
        matched_statements=_statements(outcome.matched),
        missing_context_values=list(outcome.missing),
        eval_decision_details=None if outcome.by_type is None else dict(outcome.by_type),
        permissions_boundary_decision_detail=_boundary(bool(outcome.boundary_allows), outcome),
    )


def _details(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return the most restrictive decision of each policy type; empty within one account."""
    worst: dict[str, str] = {}
    order = ("allowed", "implicitDeny", "explicitDeny")
    for outcome in outcomes:
        for name, verdict in (outcome.by_type or {}).items():
            known = worst.get(name)
            if known is None or order.index(verdict) > order.index(known):
                worst[name] = verdict
    return worst


def _boundary(allows: bool, outcome: Outcome) -> shapes.PermissionsBoundaryDecisionDetail | None:
    if outcome.boundary_allows is None:
        return None
    return shapes.PermissionsBoundaryDecisionDetail(allowed_by_permissions_boundary=allows)


def _organization(outcomes: Sequence[Outcome]) -> shapes.OrganizationsDecisionDetail | None:
    if outcomes[0].organization_allows is None:
        return None
    allowed = all(each.organization_allows for each in outcomes)
    return shapes.OrganizationsDecisionDetail(allowed_by_organizations=allowed)


def _statements(matched: Iterable[Matched]) -> list[shapes.Statement]:
    return [
        shapes.Statement(
            source_policy_id=each.source,
            # As IAM returns it, and not as its service model has it (`user`, `aws-managed`, `resource`, …).
            source_policy_type="Resource Policy" if each.type == "resource" else "IAM Policy",
            start_position=_position(each.span.start),
            end_position=_position(each.span.end),
        )
        for each in matched
    ]


def _position(at: policy.Position) -> shapes.Position:
    return shapes.Position(line=at.line, column=at.column)
