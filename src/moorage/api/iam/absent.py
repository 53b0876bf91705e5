"""Operations that read what Moorage has none of: instance profiles, passwords, MFA, certificates, providers, SSH keys.

They answer as in an account that has none. Tools ask before they create or delete a user or role (Ansible's `iam_role`,
Terraform's `force_destroy`), and when they take stock of an account.
"""

from collections.abc import Sequence
from typing import NoReturn

from moorage.access.resources import Resource
from moorage.api.iam import shapes
from moorage.api.iam.paging import limits
from moorage.api.iam.service import IamCall, MayHavePathPrefix, MayNameUser, in_account, owner, path_prefix_of
from moorage.errors import QueryError
from moorage.identity.arns import identity_arn
from moorage.identity.errors import no_such

# Instance profiles.


async def instance_profiles_under(call: IamCall, request: MayHavePathPrefix) -> Sequence[Resource]:
    return in_account(call, identity_arn("instance-profile", call.account, path_prefix_of(request), ""))


async def the_instance_profile(
    call: IamCall, request: shapes.GetInstanceProfileRequest | shapes.ListInstanceProfileTagsRequest
) -> Sequence[Resource]:
    return in_account(call, identity_arn("instance-profile", call.account, "/", request.instance_profile_name))


async def list_instance_profiles(
    _call: IamCall, request: shapes.ListInstanceProfilesRequest
) -> shapes.ListInstanceProfilesResponse:
    limits(request)
    return shapes.ListInstanceProfilesResponse(instance_profiles=[], is_truncated=False)


async def list_instance_profiles_for_role(
    call: IamCall, request: shapes.ListInstanceProfilesForRoleRequest
) -> shapes.ListInstanceProfilesForRoleResponse:
    """Return none. Raises NoSuchEntity for a role that does not exist."""
    limits(request)
    await call.services.identity.roles.get(call.account, request.role_name)
    return shapes.ListInstanceProfilesForRoleResponse(instance_profiles=[], is_truncated=False)


async def get_instance_profile(_call: IamCall, request: shapes.GetInstanceProfileRequest) -> NoReturn:
    raise _no_instance_profile(request.instance_profile_name)


async def list_instance_profile_tags(_call: IamCall, request: shapes.ListInstanceProfileTagsRequest) -> NoReturn:
    limits(request)
    raise _no_instance_profile(request.instance_profile_name)


def _no_instance_profile(name: str) -> QueryError:
    return no_such(f"Instance Profile {name} cannot be found.")


# Server certificates.


async def the_server_certificate(
    call: IamCall, request: shapes.GetServerCertificateRequest | shapes.ListServerCertificateTagsRequest
) -> Sequence[Resource]:
    return in_account(call, identity_arn("server-certificate", call.account, "/", request.server_certificate_name))


async def list_server_certificates(
    _call: IamCall, request: shapes.ListServerCertificatesRequest
) -> shapes.ListServerCertificatesResponse:
    limits(request)
    return shapes.ListServerCertificatesResponse(server_certificate_metadata_list=[], is_truncated=False)


async def get_server_certificate(_call: IamCall, request: shapes.GetServerCertificateRequest) -> NoReturn:
    raise _no_server_certificate(request.server_certificate_name)


async def list_server_certificate_tags(_call: IamCall, request: shapes.ListServerCertificateTagsRequest) -> NoReturn:
    limits(request)
    raise _no_server_certificate(request.server_certificate_name)


def _no_server_certificate(name: str) -> QueryError:
    return no_such(f"The Server Certificate with name {name} cannot be found.")


# Identity providers.


async def the_saml_provider(
    call: IamCall, request: shapes.GetSAMLProviderRequest | shapes.ListSAMLProviderTagsRequest
) -> Sequence[Resource]:
    return in_account(call, request.saml_provider_arn)


async def list_saml_providers(
    _call: IamCall, _request: shapes.ListSAMLProvidersRequest
) -> shapes.ListSAMLProvidersResponse:
    return shapes.ListSAMLProvidersResponse(saml_provider_list=[])


async def get_saml_provider(_call: IamCall, request: shapes.GetSAMLProviderRequest) -> NoReturn:
    raise _no_saml_provider(request.saml_provider_arn)


async def list_saml_provider_tags(_call: IamCall, request: shapes.ListSAMLProviderTagsRequest) -> NoReturn:
    limits(request)
    raise _no_saml_provider(request.saml_provider_arn)


def _no_saml_provider(arn: str) -> QueryError:
    return no_such(f"Manifest not found for arn {arn}")


async def the_oidc_provider(
    call: IamCall, request: shapes.GetOpenIDConnectProviderRequest | shapes.ListOpenIDConnectProviderTagsRequest
) -> Sequence[Resource]:
    return in_account(call, request.open_id_connect_provider_arn)


async def list_open_id_connect_providers(
    _call: IamCall, _request: shapes.ListOpenIDConnectProvidersRequest
) -> shapes.ListOpenIDConnectProvidersResponse:
    """Return no provider: OIDC issuers are configured in a file and are not IAM resources here."""
    return shapes.ListOpenIDConnectProvidersResponse(open_id_connect_provider_list=[])


async def get_open_id_connect_provider(_call: IamCall, request: shapes.GetOpenIDConnectProviderRequest) -> NoReturn:
    raise _no_open_id_connect_provider(request.open_id_connect_provider_arn)


async def list_open_id_connect_provider_tags(
    _call: IamCall, request: shapes.ListOpenIDConnectProviderTagsRequest
) -> NoReturn:
    limits(request)
    raise _no_open_id_connect_provider(request.open_id_connect_provider_arn)


def _no_open_id_connect_provider(arn: str) -> QueryError:
    return no_such(f"OpenIDConnect Provider not found for arn {arn}")


# What users can have, and accounts.


async def list_virtual_mfa_devices(
    _call: IamCall, request: shapes.ListVirtualMFADevicesRequest
) -> shapes.ListVirtualMFADevicesResponse:
    limits(request)
    return shapes.ListVirtualMFADevicesResponse(virtual_mfa_devices=[], is_truncated=False)


async def list_mfa_devices(call: IamCall, request: shapes.ListMFADevicesRequest) -> shapes.ListMFADevicesResponse:
    limits(request)
    await _check_user(call, request)
    return shapes.ListMFADevicesResponse(mfa_devices=[], is_truncated=False)


async def list_ssh_public_keys(
    call: IamCall, request: shapes.ListSSHPublicKeysRequest
) -> shapes.ListSSHPublicKeysResponse:
    limits(request)
    await _check_user(call, request)
    return shapes.ListSSHPublicKeysResponse(ssh_public_keys=[], is_truncated=False)


async def list_service_specific_credentials(
    call: IamCall, request: shapes.ListServiceSpecificCredentialsRequest
) -> shapes.ListServiceSpecificCredentialsResponse:
    limits(request)
    await _check_user(call, request)
    return shapes.ListServiceSpecificCredentialsResponse(service_specific_credentials=[], is_truncated=False)


async def list_signing_certificates(
    call: IamCall, request: shapes.ListSigningCertificatesRequest
) -> shapes.ListSigningCertificatesResponse:
    limits(request)
    await _check_user(call, request)
    return shapes.ListSigningCertificatesResponse(certificates=[], is_truncated=False)


async def get_ssh_public_key(call: IamCall, request: shapes.GetSSHPublicKeyRequest) -> NoReturn:
    await call.services.identity.users.get(call.account, request.user_name)
    raise no_such(f"The Public Key with id {request.ssh_public_key_id} cannot be found.")


async def get_login_profile(call: IamCall, request: shapes.GetLoginProfileRequest) -> NoReturn:
    raise await _no_login_profile(call, request)


async def delete_login_profile(call: IamCall, request: shapes.DeleteLoginProfileRequest) -> NoReturn:
    raise await _no_login_profile(call, request)


async def _no_login_profile(call: IamCall, request: MayNameUser) -> QueryError:
    name = await _check_user(call, request)
    return no_such(f"Login Profile for User {name} cannot be found.")


async def get_account_password_policy(call: IamCall, _request: shapes.GetAccountPasswordPolicyRequest) -> NoReturn:
    raise no_such(f"The Password Policy with domain name {call.account} cannot be found.")


async def _check_user(call: IamCall, request: MayNameUser) -> str | None:
    """Return the name of the user that the request is about. Raises NoSuchEntity if there is no such user."""
    name = owner(call, request)
    if name is not None:
        await call.services.identity.users.get(call.account, name)
    return name
