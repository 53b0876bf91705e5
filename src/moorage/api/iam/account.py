"""The account as a whole: GetAccountSummary and account aliases."""

from moorage.api.iam import paging, shapes
from moorage.api.iam.service import IamCall, by
from moorage.identity.credentials.access_keys import KEYS_PER_USER
from moorage.identity.policies.managed_policies import CHARACTERS, PER_ACCOUNT, VERSIONS
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.identity.principals.groups import GROUPS_PER_USER
from moorage.identity.principals.roles import TRUST_CHARACTERS


async def get_account_summary(
    call: IamCall, _request: shapes.GetAccountSummaryRequest
) -> shapes.GetAccountSummaryResponse:
    """Return what the account has, and its quotas. What Moorage has none of (certificates, MFA devices, …) counts 0."""
    counts = await call.services.identity.accounts.counts(call.account)
    return shapes.GetAccountSummaryResponse(
        summary_map={
            "Users": counts.users,
            "UsersQuota": USER.per_account,
            "Groups": counts.groups,
            "GroupsQuota": GROUP.per_account,
            "Roles": counts.roles,
            "RolesQuota": ROLE.per_account,
            "Policies": counts.policies,
            "PoliciesQuota": PER_ACCOUNT,
            "PolicyVersionsInUse": counts.versions,
            "PolicyVersionsInUseQuota": PER_ACCOUNT * VERSIONS,
            "VersionsPerPolicyQuota": VERSIONS,
            "PolicySizeQuota": CHARACTERS,
            "UserPolicySizeQuota": USER.inline_characters,
            "GroupPolicySizeQuota": GROUP.inline_characters,
            "RolePolicySizeQuota": ROLE.inline_characters,
            "AssumeRolePolicySizeQuota": TRUST_CHARACTERS,
            "AttachedPoliciesPerUserQuota": USER.attached,
            "AttachedPoliciesPerGroupQuota": GROUP.attached,
            "AttachedPoliciesPerRoleQuota": ROLE.attached,
            "GroupsPerUserQuota": GROUPS_PER_USER,
            "AccessKeysPerUserQuota": KEYS_PER_USER,
            "AccountAccessKeysPresent": int(counts.root_has_keys),
            "AccountMFAEnabled": 0,
            "AccountPasswordPresent": 0,
            "AccountSigningCertificatesPresent": 0,
            "GlobalEndpointTokenVersion": 1,
            "InstanceProfiles": 0,
            "InstanceProfilesQuota": 0,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "Providers": 0,
            "ServerCertificates": 0,
            "ServerCertificatesQuota": 0,
            "SigningCertificatesPerUserQuota": 0,
        }
    )


async def list_account_aliases(
    call: IamCall, request: shapes.ListAccountAliasesRequest
) -> shapes.ListAccountAliasesResponse:
    asked = paging.limits(request)
    alias = await call.services.identity.accounts.alias(call.account)
    page = paging.page_of(asked, [] if alias is None else [alias], str, str)
    return shapes.ListAccountAliasesResponse(
        account_aliases=page.items, is_truncated=page.is_truncated, marker=page.marker
    )


async def create_account_alias(call: IamCall, request: shapes.CreateAccountAliasRequest) -> None:
    """Replace the alias of the account, which can have only one."""
    await call.services.identity.accounts.set_alias(call.account, request.account_alias, by(call))


async def delete_account_alias(call: IamCall, request: shapes.DeleteAccountAliasRequest) -> None:
    await call.services.identity.accounts.delete_alias(call.account, request.account_alias, by(call))
