"""Operations that read what Moorage has none of: instance profiles, passwords, MFA, certificates, providers, SSH keys.

They answer as in an account that has none. Tools ask before they create or delete a user or role (Ansible's `iam_role`,
Terraform's `force_destroy`), and when they take stock of an account.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from moorage.access.authorize import Resource
from moorage.api.aws.query import Parameters, Value
from moorage.api.iam import fields, paging
from moorage.api.iam.service import (
    IAM,
    FindsConditions,
    FindsResource,
    IamCall,
    about,
    in_account,
    name_of,
    nothing,
    owner,
    the,
    the_owner,
)
from moorage.errors import QueryError
from moorage.identity import errors
from moorage.identity.arns import identity_arn
from moorage.identity.principals.entity import ROLE, USER

_ENCODINGS: Final = ("SSH", "PEM")


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
async def list_virtual_mfa_devices(_call: IamCall, request: Parameters) -> Mapping[str, Value]:
    return _none(paging.Asked.by(request), "VirtualMFADevices")


async def _instance_profiles(call: IamCall, request: Parameters) -> Sequence[Resource]:
    return in_account(call, identity_arn("instance-profile", call.account, fields.path_prefix(request), ""))


@IAM.operation("ListInstanceProfiles", action="iam:ListInstanceProfiles", resource=_instance_profiles)
async def list_instance_profiles(_call: IamCall, request: Parameters) -> Mapping[str, Value]:
    return _none(paging.Asked.by(request), "InstanceProfiles")


@IAM.operation("ListServerCertificates", action="iam:ListServerCertificates", resource=nothing)
async def list_server_certificates(_call: IamCall, request: Parameters) -> Mapping[str, Value]:
    fields.path_prefix(request)
    return _none(paging.Asked.by(request), "ServerCertificateMetadataList")


@IAM.operation("ListSAMLProviders", action="iam:ListSAMLProviders", resource=nothing)
async def list_saml_providers(_call: IamCall, _request: Parameters) -> Mapping[str, Value]:
    return {"SAMLProviderList": []}


@IAM.operation("ListOpenIDConnectProviders", action="iam:ListOpenIDConnectProviders", resource=nothing)
async def list_open_id_connect_providers(_call: IamCall, _request: Parameters) -> Mapping[str, Value]:
    """Return no provider: OIDC issuers are configured in a file and are not IAM resources here."""
    return {"OpenIDConnectProviderList": []}


@IAM.operation("GetAccountPasswordPolicy", action="iam:GetAccountPasswordPolicy", resource=nothing)
async def get_account_password_policy(call: IamCall, _request: Parameters) -> Mapping[str, Value]:
    raise errors.no_such(f"The Password Policy with domain name {call.account} cannot be found.")


@IAM.operation("GetSSHPublicKey", action="iam:GetSSHPublicKey", resource=the(USER), conditions=about(USER))
async def get_ssh_public_key(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    key = fields.public_key_id(request)
    request.required("Encoding")
    fields.choice(request, "Encoding", _ENCODINGS)
    await call.services.identity.users.get(call.account, name_of(USER, request))
    raise errors.no_such(f"The Public Key with id {key} cannot be found.")


def _not_found(operation: str, read: Callable[[Parameters], str], resource: FindsResource, message: str) -> None:
    """Register an operation on something that does not exist. `read` returns its name or ARN, for `message`."""

    @IAM.operation(operation, action=f"iam:{operation}", resource=resource)
    async def not_found(_call: IamCall, request: Parameters) -> Mapping[str, Value]:
        if operation.startswith("List"):
            paging.Asked.by(request)
        raise errors.no_such(message.format(read(request)))


def _by_name(kind: str, field: str, message: str, *operations: str) -> None:
    def read(request: Parameters) -> str:
        return fields.name(request, field)

    async def resource(call: IamCall, request: Parameters) -> Sequence[Resource]:
        return in_account(call, identity_arn(kind, call.account, "/", read(request)))

    for operation in operations:
        _not_found(operation, read, resource, message)


def _by_arn(field: str, message: str, *operations: str) -> None:
    def read(request: Parameters) -> str:
        return fields.arn(request, field)

    async def resource(call: IamCall, request: Parameters) -> Sequence[Resource]:
        return in_account(call, read(request))

    for operation in operations:
        _not_found(operation, read, resource, message)


_by_name(
    "instance-profile",
    "InstanceProfileName",
    "Instance Profile {} cannot be found.",
    "GetInstanceProfile",
    "ListInstanceProfileTags",
)
_by_name(
    "server-certificate",
    "ServerCertificateName",
    "The Server Certificate with name {} cannot be found.",
    "GetServerCertificate",
    "ListServerCertificateTags",
)
_by_arn("SAMLProviderArn", "Manifest not found for arn {}", "GetSAMLProvider", "ListSAMLProviderTags")
_by_arn(
    "OpenIDConnectProviderArn",
    "OpenIDConnect Provider not found for arn {}",
    "GetOpenIDConnectProvider",
    "ListOpenIDConnectProviderTags",
)


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
    return errors.no_such(f"Login Profile for User {name} cannot be found.")


async def _check_user(call: IamCall, request: Parameters) -> str | None:
    name = owner(call, request)
    if name is not None:
        await call.services.identity.users.get(call.account, name)
    return name


def _none(asked: paging.Asked, member: str) -> dict[str, Value]:
    return asked.of(member, list[str](), str, str)
