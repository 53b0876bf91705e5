"""PutRegistryPolicy, GetRegistryPolicy, DeleteRegistryPolicy (docs/development/policy-engine.md §1,
docs/development/ecr-behavior.md §8)."""

from moorage.api.ecr import shapes
from moorage.api.ecr.service import EcrCall, by


async def put_registry_policy(
    call: EcrCall, request: shapes.PutRegistryPolicyRequest
) -> shapes.PutRegistryPolicyResponse:
    """ECR's message does not say what is wrong; the findings of lint are in a header (docs/reference/lint.md)."""
    services = call.services
    check = services.registry_policy_check
    call.remarks["x-moorage-policy-findings"] = await check.findings(call.account, request.policy_text)
    stored = await check.check_and_canonicalize(call.account, call.region, request.policy_text)
    await services.registry.registry_policies.set(call.account, call.region, stored, by=by(call))
    return shapes.PutRegistryPolicyResponse(registry_id=call.account, policy_text=await check.shown(stored))


async def get_registry_policy(
    call: EcrCall, _request: shapes.GetRegistryPolicyRequest
) -> shapes.GetRegistryPolicyResponse:
    stored = await call.services.registry.registry_policies.get(call.account, call.region)
    text = await call.services.registry_policy_check.shown(stored)
    return shapes.GetRegistryPolicyResponse(registry_id=call.account, policy_text=text)


async def delete_registry_policy(
    call: EcrCall, _request: shapes.DeleteRegistryPolicyRequest
) -> shapes.DeleteRegistryPolicyResponse:
    stored = await call.services.registry.registry_policies.delete(call.account, call.region, by=by(call))
    text = await call.services.registry_policy_check.shown(stored)
    return shapes.DeleteRegistryPolicyResponse(registry_id=call.account, policy_text=text)
