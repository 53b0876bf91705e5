"""The account as a whole: summary, everything in it, aliases, last uses, and what there is none of."""

from typing import Any

import pytest

from moorage.identity.principals import details
from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient

TRUST = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"x.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


async def fill(root: QueryClient) -> None:
    await root.ok("CreateUser", UserName="ann", Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=READ_ONLY)
    await root.ok("CreateUser", UserName="bob")
    await root.ok("CreateGroup", GroupName="devs")
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=ALLOW_ALL)
    await root.ok("CreatePolicyVersion", PolicyArn=f"arn:aws:iam::{OWNER}:policy/p", PolicyDocument=ALLOW_ALL)
    await root.ok("AddUserToGroup", GroupName="devs", UserName="ann")
    await root.ok("PutUserPolicy", UserName="ann", PolicyName="inline", PolicyDocument=ALLOW_ALL)
    await root.ok("AttachRolePolicy", RoleName="r", PolicyArn=f"arn:aws:iam::{OWNER}:policy/p")


async def test_the_summary_counts(root: QueryClient) -> None:
    await fill(root)
    summary = (await root.ok("GetAccountSummary"))["SummaryMap"]
    assert {key: summary[key] for key in ("Users", "Groups", "Roles", "Policies", "PolicyVersionsInUse")} == {
        "Users": 2,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
    }
    assert summary["AccountAccessKeysPresent"] == 1
    assert summary["AssumeRolePolicySizeQuota"] == 2048


async def test_everything_in_the_account_is_told_whole_and_in_pages(root: QueryClient) -> None:
    await fill(root)
    whole = await root.ok("GetAccountAuthorizationDetails")
    ann, bob = whole["UserDetailList"]
    assert (ann["UserName"], bob["UserName"]) == ("ann", "bob")
    assert (ann["GroupList"], ann["Tags"]) == (["devs"], [{"Key": "a", "Value": "b"}])
    assert ann["PermissionsBoundary"]["PermissionsBoundaryArn"] == READ_ONLY
    assert [each["PolicyName"] for each in ann["UserPolicyList"]] == ["inline"]
    assert [each["GroupName"] for each in whole["GroupDetailList"]] == ["devs"]
    (role,) = whole["RoleDetailList"]
    assert role["AttachedManagedPolicies"][0]["PolicyName"] == "p"
    assert role["AssumeRolePolicyDocument"]
    policies = {each["PolicyName"]: each for each in whole["Policies"]}
    assert set(policies) == {"p", "AmazonEC2ContainerRegistryReadOnly"}
    assert [each["VersionId"] for each in policies["p"]["PolicyVersionList"]] == ["v2", "v1"]
    roles = await root.ok("GetAccountAuthorizationDetails", Filter=["Role"])
    assert (len(roles["RoleDetailList"]), roles["UserDetailList"], roles["Policies"]) == (1, [], [])
    aws = await root.ok("GetAccountAuthorizationDetails", Filter=["AWSManagedPolicy"])
    assert len(aws["Policies"]) == 5

    seen: list[str] = []
    fields: dict[str, Any] = {"MaxItems": 2}
    while True:
        page = await root.ok("GetAccountAuthorizationDetails", **fields)
        for member in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"):
            seen += [each["Arn"] for each in page[member]]
        if not page["IsTruncated"]:
            break
        fields["Marker"] = page["Marker"]
    everything = [
        each["Arn"]
        for member in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
        for each in whole[member]
    ]
    assert sorted(seen) == sorted(everything)
    assert len(set(seen)) == len(seen) == 6


async def test_a_page_of_details_is_bounded_by_its_documents(
    root: QueryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "PAGE_CHARACTERS", 5000)
    await fill(root)
    fields: dict[str, Any] = {"MaxItems": 1000}
    pages = []
    while True:
        page = await root.ok("GetAccountAuthorizationDetails", **fields)
        members = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
        pages.append([each["Arn"] for member in members for each in page[member]])
        if not page["IsTruncated"]:
            break
        fields["Marker"] = page["Marker"]
    assert len(pages) >= 3
    assert all(1 <= len(page) <= 2 for page in pages)
    assert len({arn for page in pages for arn in page}) == 6


async def test_an_account_may_have_one_alias(root: QueryClient) -> None:
    assert (await root.ok("ListAccountAliases"))["AccountAliases"] == []
    await root.ok("CreateAccountAlias", AccountAlias="first")
    await root.ok("CreateAccountAlias", AccountAlias="second")
    assert (await root.ok("ListAccountAliases"))["AccountAliases"] == ["second"]
    assert (await root.refused("DeleteAccountAlias", AccountAlias="first"))[:2] == (404, "NoSuchEntity")
    await root.ok("DeleteAccountAlias", AccountAlias="second")
    for bad in ("ab", "-ab", "a--b", "Upper"):
        assert (await root.refused("CreateAccountAlias", AccountAlias=bad))[1] == "ValidationError"


async def test_last_uses_of_keys_and_roles_are_known(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    key = (await root.ok("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"][0]["AccessKeyId"]
    never = (await root.ok("GetAccessKeyLastUsed", AccessKeyId=key))["AccessKeyLastUsed"]
    assert never == {"ServiceName": "N/A", "Region": "N/A"}
    await ann.ok("GetCallerIdentity", "sts")
    await root.identity.last_uses.write()
    used = await ann.ok("GetAccessKeyLastUsed", AccessKeyId=key)
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]) == ("ann", "sts")
    assert used["AccessKeyLastUsed"]["LastUsedDate"]
    assert (await root.refused("GetAccessKeyLastUsed", AccessKeyId="AKIA" + "A" * 16))[:2] == (403, "AccessDenied")

    role = (await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST))["Role"]
    assert (await root.ok("GetRole", RoleName="r"))["Role"]["RoleLastUsed"] == {}
    await root.ok("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=ALLOW_ALL)
    made = await root.identity.sessions.create(OWNER, role["RoleId"], 900, kind="role", name="run", by="tests")
    session = root.as_key(made.id, made.secret, made.token)
    who = await session.ok("GetCallerIdentity", "sts")
    assert who["Arn"] == f"arn:aws:sts::{OWNER}:assumed-role/r/run"
    assert who["UserId"] == f"{role['RoleId']}:run"
    await session.ok("ListUsers")
    await root.identity.last_uses.write()
    assert (await root.ok("GetRole", RoleName="r"))["Role"]["RoleLastUsed"]["Region"] == "us-east-1"
    await root.ok("DeleteRolePolicy", RoleName="r", PolicyName="p")
    assert (await session.refused("ListUsers"))[:2] == (403, "AccessDenied")
    await root.ok("DeleteRole", RoleName="r")
    assert (await session.refused("GetCallerIdentity", "sts"))[:2] == (403, "InvalidClientTokenId")


async def test_what_there_is_none_of_is_said_so(root: QueryClient) -> None:
    await root.ok("CreateUser", UserName="ann")
    for operation, member in (
        ("ListMFADevices", "MFADevices"),
        ("ListSSHPublicKeys", "SSHPublicKeys"),
        ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
        ("ListSigningCertificates", "Certificates"),
    ):
        assert (await root.ok(operation, UserName="ann"))[member] == []
        assert (await root.refused(operation, UserName="bob"))[:2] == (404, "NoSuchEntity")
    assert (await root.ok("ListVirtualMFADevices"))["VirtualMFADevices"] == []
    for operation in ("GetLoginProfile", "DeleteLoginProfile"):
        assert await root.refused(operation, UserName="ann") == (
            404,
            "NoSuchEntity",
            "Login Profile for User ann cannot be found.",
        )


async def test_what_tools_look_for_is_answered_as_by_an_account_that_has_none(root: QueryClient) -> None:
    for operation, member in (
        ("ListInstanceProfiles", "InstanceProfiles"),
        ("ListServerCertificates", "ServerCertificateMetadataList"),
        ("ListSAMLProviders", "SAMLProviderList"),
        ("ListOpenIDConnectProviders", "OpenIDConnectProviderList"),
    ):
        assert (await root.ok(operation))[member] == []
    saml = f"arn:aws:iam::{OWNER}:saml-provider/idp"
    oidc = f"arn:aws:iam::{OWNER}:oidc-provider/token.example.com"
    profile = "Instance Profile web cannot be found."
    certificate = "The Server Certificate with name web cannot be found."
    fields: dict[str, str]
    for operation, fields, message in (
        ("GetInstanceProfile", {"InstanceProfileName": "web"}, profile),
        ("ListInstanceProfileTags", {"InstanceProfileName": "web"}, profile),
        ("GetServerCertificate", {"ServerCertificateName": "web"}, certificate),
        ("ListServerCertificateTags", {"ServerCertificateName": "web"}, certificate),
        ("GetSAMLProvider", {"SAMLProviderArn": saml}, f"Manifest not found for arn {saml}"),
        ("ListSAMLProviderTags", {"SAMLProviderArn": saml}, f"Manifest not found for arn {saml}"),
        (
            "GetOpenIDConnectProvider",
            {"OpenIDConnectProviderArn": oidc},
            f"OpenIDConnect Provider not found for arn {oidc}",
        ),
        (
            "ListOpenIDConnectProviderTags",
            {"OpenIDConnectProviderArn": oidc},
            f"OpenIDConnect Provider not found for arn {oidc}",
        ),
        ("GetAccountPasswordPolicy", {}, f"The Password Policy with domain name {OWNER} cannot be found."),
    ):
        assert await root.refused(operation, **fields) == (404, "NoSuchEntity", message)
    key = {"SSHPublicKeyId": "APKAAAAAAAAAAAAAAAAA", "Encoding": "SSH"}
    assert (await root.refused("GetSSHPublicKey", UserName="ann", **key))[1:] == (
        "NoSuchEntity",
        "The user with name ann cannot be found.",
    )
    await root.ok("CreateUser", UserName="ann")
    assert (await root.refused("GetSSHPublicKey", UserName="ann", **key))[1:] == (
        "NoSuchEntity",
        "The Public Key with id APKAAAAAAAAAAAAAAAAA cannot be found.",
    )
