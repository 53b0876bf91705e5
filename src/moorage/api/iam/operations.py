"""Every operation of IAM that is built, with the resource and the condition keys that it is decided on.

`make shapes` generates the request and response types of the operations that this table names.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from moorage.api.aws.operation import FoundConditions, Operation, Service, no_conditions
from moorage.api.iam import (
    absent,
    access_keys,
    account,
    attachments,
    authorization_details,
    boundaries,
    groups,
    inline_policies,
    managed_policies,
    policy_versions,
    roles,
    service_linked_roles,
    shapes,
    simulation,
    tags,
    users,
)
from moorage.api.iam.service import (
    FindsResource,
    IamServices,
    about,
    about_new,
    about_policy,
    given_tags,
    named_policy,
    new_boundary,
    no_resource,
    removed_tag_keys,
    the,
    the_new,
    the_new_policy,
    the_owner,
    the_policy,
    the_renamed,
    those_under,
)
from moorage.identity.principals.entity import GROUP, ROLE, USER


def _iam(
    name: str,
    run: Callable[[Any, Any], Awaitable[Any]],
    resource: FindsResource,
    conditions: Callable[[Any, Any], FoundConditions] = no_conditions,
) -> Operation:
    """Return an operation that is decided by the action of its own name, as all of IAM's are."""
    return Operation(name, run, f"iam:{name}", resource, conditions)


OPERATIONS: Final = (
    # Users
    _iam("CreateUser", users.create_user, the_new(USER), about_new(new_boundary, given_tags)),
    _iam("GetUser", users.get_user, the_owner, about(USER)),
    _iam("ListUsers", users.list_users, those_under(USER)),
    _iam("UpdateUser", users.update_user, the_renamed(USER), about(USER)),
    _iam("DeleteUser", users.delete_user, the(USER), about(USER)),
    # Groups
    _iam("CreateGroup", groups.create_group, the_new(GROUP)),
    _iam("GetGroup", groups.get_group, the(GROUP)),
    _iam("ListGroups", groups.list_groups, those_under(GROUP)),
    _iam("UpdateGroup", groups.update_group, the_renamed(GROUP)),
    _iam("DeleteGroup", groups.delete_group, the(GROUP)),
    _iam("AddUserToGroup", groups.add_user_to_group, the(GROUP)),
    _iam("RemoveUserFromGroup", groups.remove_user_from_group, the(GROUP)),
    _iam("ListGroupsForUser", groups.list_groups_for_user, the(USER), about(USER)),
    # Roles
    _iam("CreateRole", roles.create_role, the_new(ROLE), about_new(new_boundary, given_tags)),
    _iam("GetRole", roles.get_role, the(ROLE), about(ROLE)),
    _iam("ListRoles", roles.list_roles, those_under(ROLE)),
    _iam("UpdateRole", roles.update_role, the(ROLE), about(ROLE)),
    _iam("UpdateRoleDescription", roles.update_role_description, the(ROLE), about(ROLE)),
    _iam("UpdateAssumeRolePolicy", roles.update_assume_role_policy, the(ROLE), about(ROLE)),
    _iam("DeleteRole", roles.delete_role, the(ROLE), about(ROLE)),
    _iam(
        "CreateServiceLinkedRole",
        service_linked_roles.create_service_linked_role,
        service_linked_roles.the_service_role,
        service_linked_roles.about_service,
    ),
    _iam("DeleteServiceLinkedRole", service_linked_roles.delete_service_linked_role, the(ROLE), about(ROLE)),
    _iam(
        "GetServiceLinkedRoleDeletionStatus",
        service_linked_roles.get_service_linked_role_deletion_status,
        service_linked_roles.the_deleted_role,
    ),
    # Access keys
    _iam("CreateAccessKey", access_keys.create_access_key, the_owner, about(USER)),
    _iam("ListAccessKeys", access_keys.list_access_keys, the_owner, about(USER)),
    _iam("UpdateAccessKey", access_keys.update_access_key, the_owner, about(USER)),
    _iam("DeleteAccessKey", access_keys.delete_access_key, the_owner, about(USER)),
    _iam("GetAccessKeyLastUsed", access_keys.get_access_key_last_used, access_keys.the_user_of_the_key),
    # Inline policies
    _iam("PutUserPolicy", inline_policies.put_user_policy, the(USER), about(USER, boundary=True)),
    _iam("GetUserPolicy", inline_policies.get_user_policy, the(USER), about(USER)),
    _iam("ListUserPolicies", inline_policies.list_user_policies, the(USER), about(USER)),
    _iam("DeleteUserPolicy", inline_policies.delete_user_policy, the(USER), about(USER, boundary=True)),
    _iam("PutGroupPolicy", inline_policies.put_group_policy, the(GROUP), about(GROUP, boundary=True)),
    _iam("GetGroupPolicy", inline_policies.get_group_policy, the(GROUP), about(GROUP)),
    _iam("ListGroupPolicies", inline_policies.list_group_policies, the(GROUP), about(GROUP)),
    _iam("DeleteGroupPolicy", inline_policies.delete_group_policy, the(GROUP), about(GROUP, boundary=True)),
    _iam("PutRolePolicy", inline_policies.put_role_policy, the(ROLE), about(ROLE, boundary=True)),
    _iam("GetRolePolicy", inline_policies.get_role_policy, the(ROLE), about(ROLE)),
    _iam("ListRolePolicies", inline_policies.list_role_policies, the(ROLE), about(ROLE)),
    _iam("DeleteRolePolicy", inline_policies.delete_role_policy, the(ROLE), about(ROLE, boundary=True)),
    # Managed policies
    _iam("CreatePolicy", managed_policies.create_policy, the_new_policy, about_new(given_tags)),
    _iam("GetPolicy", managed_policies.get_policy, the_policy, about_policy()),
    _iam("ListPolicies", managed_policies.list_policies, managed_policies.policies_under),
    _iam("DeletePolicy", managed_policies.delete_policy, the_policy, about_policy()),
    _iam("CreatePolicyVersion", policy_versions.create_policy_version, the_policy, about_policy()),
    _iam("GetPolicyVersion", policy_versions.get_policy_version, the_policy, about_policy()),
    _iam("ListPolicyVersions", policy_versions.list_policy_versions, the_policy, about_policy()),
    _iam("SetDefaultPolicyVersion", policy_versions.set_default_policy_version, the_policy, about_policy()),
    _iam("DeletePolicyVersion", policy_versions.delete_policy_version, the_policy, about_policy()),
    # Managed policies on users, groups and roles
    _iam("AttachUserPolicy", attachments.attach_user_policy, the(USER), about(USER, named_policy, boundary=True)),
    _iam("DetachUserPolicy", attachments.detach_user_policy, the(USER), about(USER, named_policy, boundary=True)),
    _iam("ListAttachedUserPolicies", attachments.list_attached_user_policies, the(USER), about(USER)),
    _iam("AttachGroupPolicy", attachments.attach_group_policy, the(GROUP), about(GROUP, named_policy, boundary=True)),
    _iam("DetachGroupPolicy", attachments.detach_group_policy, the(GROUP), about(GROUP, named_policy, boundary=True)),
    _iam("ListAttachedGroupPolicies", attachments.list_attached_group_policies, the(GROUP), about(GROUP)),
    _iam("AttachRolePolicy", attachments.attach_role_policy, the(ROLE), about(ROLE, named_policy, boundary=True)),
    _iam("DetachRolePolicy", attachments.detach_role_policy, the(ROLE), about(ROLE, named_policy, boundary=True)),
    _iam("ListAttachedRolePolicies", attachments.list_attached_role_policies, the(ROLE), about(ROLE)),
    _iam("ListEntitiesForPolicy", attachments.list_entities_for_policy, the_policy, about_policy()),
    # Permissions boundaries
    _iam(
        "PutUserPermissionsBoundary",
        boundaries.put_user_permissions_boundary,
        the(USER),
        about(USER, new_boundary),
    ),
    _iam(
        "DeleteUserPermissionsBoundary",
        boundaries.delete_user_permissions_boundary,
        the(USER),
        about(USER, boundary=True),
    ),
    _iam(
        "PutRolePermissionsBoundary",
        boundaries.put_role_permissions_boundary,
        the(ROLE),
        about(ROLE, new_boundary),
    ),
    _iam(
        "DeleteRolePermissionsBoundary",
        boundaries.delete_role_permissions_boundary,
        the(ROLE),
        about(ROLE, boundary=True),
    ),
    # Tags
    _iam("TagUser", tags.tag_user, the(USER), about(USER, given_tags)),
    _iam("UntagUser", tags.untag_user, the(USER), about(USER, removed_tag_keys)),
    _iam("ListUserTags", tags.list_user_tags, the(USER), about(USER)),
    _iam("TagRole", tags.tag_role, the(ROLE), about(ROLE, given_tags)),
    _iam("UntagRole", tags.untag_role, the(ROLE), about(ROLE, removed_tag_keys)),
    _iam("ListRoleTags", tags.list_role_tags, the(ROLE), about(ROLE)),
    _iam("TagPolicy", tags.tag_policy, the_policy, about_policy(given_tags)),
    _iam("UntagPolicy", tags.untag_policy, the_policy, about_policy(removed_tag_keys)),
    _iam("ListPolicyTags", tags.list_policy_tags, the_policy, about_policy()),
    # The account
    _iam("GetAccountSummary", account.get_account_summary, no_resource),
    _iam("ListAccountAliases", account.list_account_aliases, no_resource),
    _iam("CreateAccountAlias", account.create_account_alias, no_resource),
    _iam("DeleteAccountAlias", account.delete_account_alias, no_resource),
    _iam("GetAccountAuthorizationDetails", authorization_details.get_account_authorization_details, no_resource),
    # The policy simulator
    _iam("SimulatePrincipalPolicy", simulation.simulate_principal_policy, simulation.the_source),
    _iam("SimulateCustomPolicy", simulation.simulate_custom_policy, no_resource),
    _iam("GetContextKeysForPrincipalPolicy", simulation.get_context_keys_for_principal_policy, simulation.the_source),
    _iam("GetContextKeysForCustomPolicy", simulation.get_context_keys_for_custom_policy, no_resource),
    # What no account has here
    _iam("GetAccountPasswordPolicy", absent.get_account_password_policy, no_resource),
    _iam("GetLoginProfile", absent.get_login_profile, the_owner, about(USER)),
    _iam("DeleteLoginProfile", absent.delete_login_profile, the_owner, about(USER)),
    _iam("ListMFADevices", absent.list_mfa_devices, the_owner, about(USER)),
    _iam("ListVirtualMFADevices", absent.list_virtual_mfa_devices, no_resource),
    _iam("GetSSHPublicKey", absent.get_ssh_public_key, the(USER), about(USER)),
    _iam("ListSSHPublicKeys", absent.list_ssh_public_keys, the_owner, about(USER)),
    _iam("ListServiceSpecificCredentials", absent.list_service_specific_credentials, the_owner, about(USER)),
    _iam("ListSigningCertificates", absent.list_signing_certificates, the_owner, about(USER)),
    _iam("ListInstanceProfiles", absent.list_instance_profiles, absent.instance_profiles_under),
    _iam("ListInstanceProfilesForRole", absent.list_instance_profiles_for_role, the(ROLE), about(ROLE)),
    _iam("GetInstanceProfile", absent.get_instance_profile, absent.the_instance_profile),
    _iam("ListInstanceProfileTags", absent.list_instance_profile_tags, absent.the_instance_profile),
    _iam("ListServerCertificates", absent.list_server_certificates, no_resource),
    _iam("GetServerCertificate", absent.get_server_certificate, absent.the_server_certificate),
    _iam("ListServerCertificateTags", absent.list_server_certificate_tags, absent.the_server_certificate),
    _iam("ListSAMLProviders", absent.list_saml_providers, no_resource),
    _iam("GetSAMLProvider", absent.get_saml_provider, absent.the_saml_provider),
    _iam("ListSAMLProviderTags", absent.list_saml_provider_tags, absent.the_saml_provider),
    _iam("ListOpenIDConnectProviders", absent.list_open_id_connect_providers, no_resource),
    _iam("GetOpenIDConnectProvider", absent.get_open_id_connect_provider, absent.the_oidc_provider),
    _iam("ListOpenIDConnectProviderTags", absent.list_open_id_connect_provider_tags, absent.the_oidc_provider),
)

IAM: Final[Service[IamServices]] = Service("iam", "query", "2010-05-08", OPERATIONS, shapes.OPERATIONS)
