"""Which policies could be changed to allow a denied request, whom to ask for the others, and why none can be."""

from typing import Final

import msgspec

from moorage import policy
from moorage.access.registry_policy import reaches
from moorage.analysis.explanation import AccountRequest
from moorage.names import InvalidNameError, Region, RepositoryRef, account_id, parse_repository_arn
from moorage.registry.registry import Registry

_RESOURCE_SETS: Final = frozenset({"resource", "trust", "rcp"})
_HIDDEN_TRUST: Final = policy.Named(
    "trust policy",
    "hidden",
    policy.parse(
        '{"Statement":{"Effect":"Allow","Principal":{"Service":"nobody.amazonaws.com"},"Action":"sts:AssumeRole"}}',
        policy.Kind.TRUST,
    ),
)
"""Stands in for a trust policy that the reader may not see; it trusts nobody."""


async def changeable_policies(
    registry: Registry,
    request: policy.Request,
    policies: policy.Policies,
    region: str,
    visible: frozenset[policy.SetName],
) -> policy.Changeable:
    """Return which policies could be changed now to allow the request.

    `region`: the region of the request. Whether the repository exists and to which actions its registry's policy
    applies only counts if the reader may see the resource's policies, because others must not learn it.
    """
    kinds = policy.resource_policies(request)
    if "resource" in visible and kinds:
        ref = repository_of(request.resource)
        kinds_attached = {named.document.kind for named in policies.resource or ()}
        if policy.Kind.REPOSITORY in kinds and (ref is None or await registry.repositories.state(ref) is None):
            # A new registry policy would only allow the request to fail for want of the repository.
            kinds = (policy.Kind.REGISTRY,) if policy.Kind.REGISTRY in kinds_attached else ()
        if policy.Kind.REGISTRY in kinds:
            account = account_id(request.resource_account)
            state = await registry.registry_policies.state(account, Region(region) if ref is None else ref.region)
            if not reaches(request.action, state):
                kinds = tuple([each for each in kinds if each is not policy.Kind.REGISTRY])
    return policy.Changeable(kinds, own=not request.principal.service_linked)


def policies_for_suggestions(policies: policy.Policies, visible: frozenset[policy.SetName]) -> policy.Policies:
    """Return the policies that suggestions are made for.

    A reader who may not see the trust policy of a role must learn neither whether the role exists nor whom it trusts,
    so the suggestions are those for a role that trusts nobody.
    """
    if policies.trust is None or "trust" in visible:
        return policies
    return msgspec.structs.replace(policies, trust=(_HIDDEN_TRUST,))


def account_requests(
    decision: policy.Decision, policies: policy.Policies, visible: frozenset[policy.SetName]
) -> list[AccountRequest]:
    """Return the changes that the reader cannot make or see, and can only ask an account to make."""
    if decision.allowed:
        return []
    request, caller = decision.request, decision.request.principal
    found = []
    by: str = decision.decided_by
    across = caller.account != request.resource_account
    for name in policy.SETS:
        if name in visible or policy.never_applies(decision, policies, name):
            continue
        decided = name == by
        needed = (
            name == "trust"
            or (name == "resource" and across and bool(policy.resource_policies(request)))
            or (name == "identity" and across)
        )
        if decided or (needed and not decision.explicit and (by in visible or by == "request")):
            account = request.resource_account if name in _RESOURCE_SETS else caller.account
            found.append(AccountRequest(account=account, policy=_policy_label(decision, name), certain=decided))
    return found


def _policy_label(decision: policy.Decision, name: policy.SetName) -> str:
    """Return what the account that is asked calls the policy."""
    request = decision.request
    if name == "trust":
        return f"the trust policy of {request.resource}"
    if name == "resource":
        return f"the {policy.set_label(request, name)}"
    if name == "rcp":
        return "the resource control policies of its organization"
    return "its own policies"


async def why_unchangeable(
    registry: Registry, decision: policy.Decision, policies: policy.Policies, visible: frozenset[policy.SetName]
) -> str | None:
    """Return why no change of a policy would help, in one clause; None if one may help."""
    request = decision.request
    if decision.allowed:
        return None
    if policies.trust == () and "trust" in visible:
        return f"there is no role {request.resource}"
    if request.principal.service_linked and "identity" in visible and decision.decided_by in {"identity", "boundary"}:
        return f"the policies of a service-linked role cannot be changed: {request.principal.role_arn}"
    kinds = policy.resource_policies(request)
    if decision.decided_by == "resource" and not decision.explicit and not kinds:
        owner = request.resource_account
        return f"only principals of account {owner} can be allowed this: no policy grants it to other accounts"
    ref = repository_of(request.resource)
    if ref is not None and policy.Kind.REPOSITORY in kinds and "resource" in visible:
        state = await registry.repositories.state(ref)
        return f"there is no repository {ref.name} now" if state is None else None
    return None


def repository_of(arn: str) -> RepositoryRef | None:
    """Return the repository that an ARN names; None for other ARNs."""
    try:
        return parse_repository_arn(arn)
    except InvalidNameError:
        return None
