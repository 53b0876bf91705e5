"""SetRepositoryPolicy, GetRepositoryPolicy, DeleteRepositoryPolicy (docs/development/policy-engine.md §1, §5)."""

from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, by, ref_of
from moorage.errors import RepositoryNotFound


async def set_repository_policy(
    call: EcrCall, request: shapes.SetRepositoryPolicyRequest
) -> shapes.SetRepositoryPolicyResponse:
    """Check that the repository exists before its policy is parsed (docs/development/policy-engine.md §1.3).

    ECR's message does not say what is wrong; the findings of lint are in a header (docs/reference/lint.md).
    """
    ref = ref_of(call, request)
    services = call.services
    state = await services.registry.repositories.state(ref)
    if state is None:
        raise RepositoryNotFound(ref)
    call.remarks["x-moorage-policy-findings"] = await services.policy_check.findings(ref, request.policy_text)
    accepted = await services.policy_check.check_and_canonicalize(
        call.caller, call.connection, ref, request.policy_text, bool(request.force)
    )
    await services.registry.repository_policies.set(ref, accepted.stored, by=by(call))
    return shapes.SetRepositoryPolicyResponse(
        registry_id=ref.account, repository_name=ref.name, policy_text=accepted.shown
    )


async def get_repository_policy(
    call: EcrCall, request: shapes.GetRepositoryPolicyRequest
) -> shapes.GetRepositoryPolicyResponse:
    ref = ref_of(call, request)
    stored = await call.services.registry.repository_policies.get(ref)
    return shapes.GetRepositoryPolicyResponse(
        registry_id=ref.account, repository_name=ref.name, policy_text=await call.services.policy_check.shown(stored)
    )


async def delete_repository_policy(
    call: EcrCall, request: shapes.DeleteRepositoryPolicyRequest
) -> shapes.DeleteRepositoryPolicyResponse:
    ref = ref_of(call, request)
    stored = await call.services.registry.repository_policies.delete(ref, by=by(call))
    return shapes.DeleteRepositoryPolicyResponse(
        registry_id=ref.account, repository_name=ref.name, policy_text=await call.services.policy_check.shown(stored)
    )
