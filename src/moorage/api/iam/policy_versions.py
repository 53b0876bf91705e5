"""Versions of managed policies: Create-, Get-, List-, DeletePolicyVersion, SetDefaultPolicyVersion."""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value, instant
from moorage.api.iam import documents, fields, paging
from moorage.api.iam.service import IAM, IamCall, about_policy, by, the_policy
from moorage.identity.policies.managed_policies import PolicyVersion


@IAM.operation("CreatePolicyVersion", action="iam:CreatePolicyVersion", resource=the_policy, conditions=about_policy)
async def create_policy_version(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    arn, text = fields.arn(request), fields.document(request)
    as_default = request.boolean("SetAsDefault") or False
    version = await call.services.identity.managed.create_version(
        call.account, arn, documents.checked(text, managed=True), by(call), as_default=as_default
    )
    return {"PolicyVersion": _shown(version)}


@IAM.operation("GetPolicyVersion", action="iam:GetPolicyVersion", resource=the_policy, conditions=about_policy)
async def get_policy_version(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    arn, number = fields.arn(request), fields.version(request)
    version = await call.services.identity.managed.version(call.account, arn, number)
    return {"PolicyVersion": {"Document": documents.shown(version.text), **_shown(version)}}


@IAM.operation("ListPolicyVersions", action="iam:ListPolicyVersions", resource=the_policy, conditions=about_policy)
async def list_policy_versions(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """Newest first."""
    most, after = paging.limit(request), paging.after(request)
    found = await call.services.identity.managed.versions(call.account, fields.arn(request))
    rest = [each for each in found if not after.isdigit() or each.number < int(after)]
    return paging.page("Versions", rest, most, lambda each: str(each.number), _shown)


@IAM.operation(
    "SetDefaultPolicyVersion", action="iam:SetDefaultPolicyVersion", resource=the_policy, conditions=about_policy
)
async def set_default_policy_version(call: IamCall, request: Parameters) -> None:
    arn, number = fields.arn(request), fields.version(request)
    await call.services.identity.managed.set_default(call.account, arn, number, by(call))


@IAM.operation("DeletePolicyVersion", action="iam:DeletePolicyVersion", resource=the_policy, conditions=about_policy)
async def delete_policy_version(call: IamCall, request: Parameters) -> None:
    arn, number = fields.arn(request), fields.version(request)
    await call.services.identity.managed.delete_version(call.account, arn, number, by(call))


def _shown(version: PolicyVersion) -> dict[str, Value]:
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.is_default,
        "CreateDate": instant(version.created_at),
    }
