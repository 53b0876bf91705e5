"""What Moorage keeps none of, said so in IAM's words: instance profiles, passwords, MFA, certificates, SSH keys.

Tools ask for these before they delete a user or role (Terraform's `force_destroy`), and must be told that there are
none.
"""

from collections.abc import Mapping

from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import paging
from moorage.api.iam.service import IAM, FindsConditions, IamCall, about, name_of, nothing, owner, the, the_owner
from moorage.errors import QueryError
from moorage.identity import faults
from moorage.identity.entity import ROLE, USER


@IAM.operation(
    "ListInstanceProfilesForRole",
    action="iam:ListInstanceProfilesForRole",
    resource=the(ROLE),
    conditions=about(ROLE),
)
async def list_instance_profiles_for_role(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    """None, of a role that is there."""
    asked = paging.Asked.by(request)
    await call.services.identity.roles.get(call.account, name_of(ROLE, request))
    return _none(asked, "InstanceProfiles")


@IAM.operation("ListVirtualMFADevices", action="iam:ListVirtualMFADevices", resource=nothing)
async def list_virtual_mfa_devices(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    return _none(paging.Asked.by(request), "VirtualMFADevices")


def _of_users(operation: str, member: str, conditions: FindsConditions) -> None:
    """Register a list that is empty for every user."""

    @IAM.operation(operation, action=f"iam:{operation}", resource=the_owner, conditions=conditions)
    async def list_none(call: IamCall, request: Parameters) -> Mapping[str, Value]:
        asked = paging.Asked.by(request)
        await _check_user(call, request)
        return _none(asked, member)


for _operation, _member in (
    ("ListMFADevices", "MFADevices"),
    ("ListSSHPublicKeys", "SSHPublicKeys"),
    ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
    ("ListSigningCertificates", "Certificates"),
):
    _of_users(_operation, _member, about(USER))


@IAM.operation("GetLoginProfile", action="iam:GetLoginProfile", resource=the_owner, conditions=about(USER))
async def get_login_profile(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    raise await _no_login_profile(call, request)


@IAM.operation("DeleteLoginProfile", action="iam:DeleteLoginProfile", resource=the_owner, conditions=about(USER))
async def delete_login_profile(call: IamCall, request: Parameters) -> None:
    raise await _no_login_profile(call, request)


async def _no_login_profile(call: IamCall, request: Parameters) -> QueryError:
    name = await _check_user(call, request)
    return faults.no_such(f"Login Profile for User {name} cannot be found.")


async def _check_user(call: IamCall, request: Parameters) -> str | None:
    name = owner(call, request)
    if name is not None:
        await call.services.identity.users.get(call.account, name)
    return name


def _none(asked: paging.Asked, member: str) -> dict[str, Value]:
    return asked.of(member, list[str](), str, str)
