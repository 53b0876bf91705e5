"""Versions of managed policies: Create-, Get-, List-, DeletePolicyVersion, SetDefaultPolicyVersion."""

from msgspec.structs import replace

from moorage.api.aws.xml import timestamp
from moorage.api.iam import documents, paging, shapes
from moorage.api.iam.parameters import version_number
from moorage.api.iam.service import IamCall, by
from moorage.identity.policies.managed_policies import PolicyVersion


async def create_policy_version(
    call: IamCall, request: shapes.CreatePolicyVersionRequest
) -> shapes.CreatePolicyVersionResponse:
    version = await call.services.identity.managed.create_version(
        call.account,
        request.policy_arn,
        documents.checked(request.policy_document, managed=True),
        by(call),
        as_default=request.set_as_default or False,
    )
    return shapes.CreatePolicyVersionResponse(policy_version=_in_lists(version))


async def get_policy_version(call: IamCall, request: shapes.GetPolicyVersionRequest) -> shapes.GetPolicyVersionResponse:
    managed, number = call.services.identity.managed, version_number(request.version_id)
    version = await managed.version(call.account, request.policy_arn, number)
    return shapes.GetPolicyVersionResponse(
        policy_version=replace(_in_lists(version), document=documents.encoded(version.text))
    )


async def list_policy_versions(
    call: IamCall, request: shapes.ListPolicyVersionsRequest
) -> shapes.ListPolicyVersionsResponse:
    """Return the newest first."""
    most, after = paging.limits(request)
    found = await call.services.identity.managed.versions(call.account, request.policy_arn)
    rest = [each for each in found if not after.isdecimal() or each.number < int(after)]
    page = paging.page(rest, most, lambda each: str(each.number), _in_lists)
    return shapes.ListPolicyVersionsResponse(versions=page.items, is_truncated=page.is_truncated, marker=page.marker)


async def set_default_policy_version(call: IamCall, request: shapes.SetDefaultPolicyVersionRequest) -> None:
    managed, number = call.services.identity.managed, version_number(request.version_id)
    await managed.set_default(call.account, request.policy_arn, number, by(call))


async def delete_policy_version(call: IamCall, request: shapes.DeletePolicyVersionRequest) -> None:
    managed, number = call.services.identity.managed, version_number(request.version_id)
    await managed.delete_version(call.account, request.policy_arn, number, by(call))


def _in_lists(version: PolicyVersion) -> shapes.PolicyVersion:
    """Return a version without its document."""
    return shapes.PolicyVersion(
        version_id=f"v{version.number}",
        is_default_version=version.is_default,
        create_date=timestamp(version.created_at),
    )
