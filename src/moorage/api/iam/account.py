"""The account as a whole: GetAccountSummary and account aliases."""

import re
from collections.abc import Mapping
from typing import Final

from moorage.api.aws.query import Entries, Parameters, Value, checked
from moorage.api.iam import paging
from moorage.api.iam.service import IAM, IamCall, by, nothing
from moorage.identity.credentials.access_keys import KEYS_PER_USER
from moorage.identity.policies.managed_policies import CHARACTERS, PER_ACCOUNT, VERSIONS
from moorage.identity.principals.entity import GROUP, ROLE, USER
from moorage.identity.principals.groups import GROUPS_PER_USER
from moorage.identity.principals.roles import TRUST_CHARACTERS

_ALIAS: Final = re.compile(r"[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]")


@IAM.operation("GetAccountSummary", action="iam:GetAccountSummary", resource=nothing)
async def get_account_summary(call: IamCall, _request: Parameters) -> Mapping[str, Value]:
    """What the account has and may have. What Moorage keeps none of (certificates, MFA devices, …) counts 0."""
    counts = await call.services.identity.accounts.counts(call.account)
    return {
        "SummaryMap": Entries(
            {
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
    }


@IAM.operation("ListAccountAliases", action="iam:ListAccountAliases", resource=nothing)
async def list_account_aliases(call: IamCall, request: Parameters) -> Mapping[str, Value]:
    asked = paging.Asked.by(request)
    alias = await call.services.identity.accounts.alias(call.account)
    return asked.of("AccountAliases", [] if alias is None else [alias], str, str)


@IAM.operation("CreateAccountAlias", action="iam:CreateAccountAlias", resource=nothing)
async def create_account_alias(call: IamCall, request: Parameters) -> None:
    """An account has one: it takes the place of another."""
    await call.services.identity.accounts.set_alias(call.account, _alias(request), by(call))


@IAM.operation("DeleteAccountAlias", action="iam:DeleteAccountAlias", resource=nothing)
async def delete_account_alias(call: IamCall, request: Parameters) -> None:
    await call.services.identity.accounts.delete_alias(call.account, _alias(request), by(call))


def _alias(request: Parameters) -> str:
    return checked("AccountAlias", request.required("AccountAlias"), _ALIAS, 3, 63)
