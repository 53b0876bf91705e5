"""Managed policies through the AWS door: versions, attachments, filters, AWS's own, boundaries, tags."""

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient

ARN = f"arn:aws:iam::{OWNER}:policy/p"
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
TRUST = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"x.amazonaws.com"},"Action":"sts:AssumeRole"}]}'


def document(action: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


async def test_numbers_that_python_does_not_read_are_refused_or_ignored(root: QueryClient) -> None:
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document("ecr:*"))
    for operation in ("GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"):
        for digits in (32, 5000):
            refused = await root.refused(operation, PolicyArn=ARN, VersionId="v" + "1" * digits)
            assert refused[:2] == (400, "ValidationError")
            assert refused[2].endswith("Member must have length less than or equal to 32")
    assert (await root.refused("GetPolicyVersion", PolicyArn=ARN, VersionId="v" + "1" * 31))[0] == 404
    squared = base64.urlsafe_b64encode("²".encode()).decode()
    assert len((await root.ok("ListPolicyVersions", PolicyArn=ARN, Marker=squared))["Versions"]) == 1


async def test_a_policy_has_up_to_five_versions_and_one_counts(root: QueryClient) -> None:
    made = (await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document("ecr:*"), Description="d"))["Policy"]
    assert (made["Arn"], made["DefaultVersionId"], made["AttachmentCount"]) == (ARN, "v1", 0)
    assert made["PolicyId"].startswith("ANPA")
    assert (await root.ok("GetPolicy", PolicyArn=ARN))["Policy"]["Description"] == "d"
    for number in range(2, 6):
        version = await root.ok("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=document(f"ecr:A{number}"))
        assert version["PolicyVersion"]["VersionId"] == f"v{number}"
        assert version["PolicyVersion"]["IsDefaultVersion"] is False
    full = await root.refused("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=document("ecr:B"))
    assert full[:2] == (409, "LimitExceeded")
    await root.ok("SetDefaultPolicyVersion", PolicyArn=ARN, VersionId="v3")
    assert (await root.refused("DeletePolicyVersion", PolicyArn=ARN, VersionId="v3"))[:2] == (409, "DeleteConflict")
    assert (await root.refused("DeletePolicy", PolicyArn=ARN))[:2] == (409, "DeleteConflict")
    versions = (await root.ok("ListPolicyVersions", PolicyArn=ARN))["Versions"]
    assert [each["VersionId"] for each in versions] == ["v5", "v4", "v3", "v2", "v1"]
    assert [each["VersionId"] for each in versions if each["IsDefaultVersion"]] == ["v3"]
    page = await root.ok("ListPolicyVersions", PolicyArn=ARN, MaxItems=2)
    rest = await root.ok("ListPolicyVersions", PolicyArn=ARN, Marker=page["Marker"])
    assert [each["VersionId"] for each in rest["Versions"]] == ["v3", "v2", "v1"]
    for number in (1, 2, 4, 5):
        await root.ok("DeletePolicyVersion", PolicyArn=ARN, VersionId=f"v{number}")
    new = await root.ok("CreatePolicyVersion", PolicyArn=ARN, PolicyDocument=document("ecr:C"), SetAsDefault=True)
    # A number is not given twice.
    assert (new["PolicyVersion"]["VersionId"], new["PolicyVersion"]["IsDefaultVersion"]) == ("v6", True)
    missing = await root.refused("GetPolicyVersion", PolicyArn=ARN, VersionId="v1")
    assert missing == (404, "NoSuchEntity", f"Policy {ARN} version v1 does not exist or is not attachable.")
    await root.ok("DeletePolicyVersion", PolicyArn=ARN, VersionId="v3")
    await root.ok("DeletePolicy", PolicyArn=ARN)
    assert await root.refused("GetPolicy", PolicyArn=ARN) == (404, "NoSuchEntity", f"Policy {ARN} was not found.")


async def test_documents_come_back_percent_encoded_as_given(root: QueryClient) -> None:
    text = document("ecr:*").replace(",", " ,\n")
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=text)
    _, body = await root.send("iam", "GetPolicyVersion", {"PolicyArn": ARN, "VersionId": "v1"})
    assert b"<Document>%7B%22Version%22" in body
    assert b"%0A" in body


async def test_attached_policies_decide_and_are_listed(root: QueryClient) -> None:
    ann = await root.user("ann")
    await root.ok("CreatePolicy", PolicyName="p", Path="/team/", PolicyDocument=document("iam:ListUsers"))
    arn = f"arn:aws:iam::{OWNER}:policy/team/p"
    assert (await root.refused("GetPolicy", PolicyArn=ARN))[0] == 404
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=READ_ONLY)
    await ann.ok("ListUsers")
    attached = (await root.ok("ListAttachedUserPolicies", UserName="ann"))["AttachedPolicies"]
    assert attached == [
        {"PolicyName": "p", "PolicyArn": arn},
        {"PolicyName": "AmazonEC2ContainerRegistryReadOnly", "PolicyArn": READ_ONLY},
    ]
    under = await root.ok("ListAttachedUserPolicies", UserName="ann", PathPrefix="/team/")
    assert len(under["AttachedPolicies"]) == 1
    assert (await root.ok("GetPolicy", PolicyArn=arn))["Policy"]["AttachmentCount"] == 1
    assert (await root.refused("DeletePolicy", PolicyArn=arn))[:2] == (409, "DeleteConflict")
    await root.ok("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=document("iam:GetUser"), SetAsDefault=True)
    assert (await ann.refused("ListUsers"))[0] == 403
    await ann.ok("GetUser")
    await root.ok("DetachUserPolicy", UserName="ann", PolicyArn=arn)
    assert (await ann.refused("GetUser"))[0] == 403
    assert (await root.refused("DetachUserPolicy", UserName="ann", PolicyArn=arn))[:2] == (404, "NoSuchEntity")
    nowhere = await root.refused("AttachUserPolicy", UserName="ann", PolicyArn=ARN + "x")
    assert nowhere == (404, "NoSuchEntity", f"Policy {ARN}x does not exist or is not attachable.")
    elsewhere = arn.replace(OWNER, "999999999999")
    assert (await root.refused("AttachUserPolicy", UserName="ann", PolicyArn=elsewhere))[0] == 404


async def test_ten_policies_at_most_are_attached(root: QueryClient) -> None:
    await root.ok("CreateGroup", GroupName="g")
    for number in range(11):
        await root.ok("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=document("ecr:*"))
    for number in range(10):
        await root.ok("AttachGroupPolicy", GroupName="g", PolicyArn=f"{ARN}{number}")
    refused = await root.refused("AttachGroupPolicy", GroupName="g", PolicyArn=f"{ARN}10")
    assert refused == (409, "LimitExceeded", "Cannot exceed quota for PoliciesPerGroup: 10")


async def test_lists_are_filtered(root: QueryClient) -> None:
    async def listed(**fields: Any) -> list[str]:
        found = (await root.ok("ListPolicies", **fields))["Policies"]
        return [each["PolicyName"] for each in found]

    await root.ok("CreateUser", UserName="ann")
    for name, path in (("a", "/"), ("b", "/x/"), ("c", "/x/y/")):
        await root.ok("CreatePolicy", PolicyName=name, Path=path, PolicyDocument=document("ecr:*"))
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=f"arn:aws:iam::{OWNER}:policy/x/b")
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=READ_ONLY)
    await root.ok("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=f"arn:aws:iam::{OWNER}:policy/a")
    aws = [
        "AdministratorAccess",
        "AmazonEC2ContainerRegistryFullAccess",
        "AmazonEC2ContainerRegistryPowerUser",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEC2ContainerRegistryReadOnly",
    ]
    assert await listed() == ["a", "b", "c", *aws]
    assert await listed(Scope="Local") == ["a", "b", "c"]
    assert await listed(Scope="AWS") == aws
    assert await listed(PathPrefix="/x/") == ["b", "c"]
    assert await listed(OnlyAttached=True) == ["b", "AmazonEC2ContainerRegistryReadOnly"]
    assert await listed(PolicyUsageFilter="PermissionsBoundary") == ["a"]
    first = await root.ok("ListPolicies", Scope="Local", MaxItems=2)
    assert await listed(Scope="Local", Marker=first["Marker"]) == ["c"]


async def test_who_uses_a_policy_is_told_in_pages(root: QueryClient) -> None:
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document("ecr:*"))
    await root.ok("CreateUser", UserName="ann")
    await root.ok("CreateGroup", GroupName="devs")
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST, PermissionsBoundary=ARN)
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=ARN)
    await root.ok("AttachGroupPolicy", GroupName="devs", PolicyArn=ARN)

    def names(answer: Any) -> list[str]:
        return [each[f"{title}Name"] for title in ("Group", "Role", "User") for each in answer[f"Policy{title}s"]]

    assert names(await root.ok("ListEntitiesForPolicy", PolicyArn=ARN)) == ["devs", "r", "ann"]
    attached = await root.ok("ListEntitiesForPolicy", PolicyArn=ARN, PolicyUsageFilter="PermissionsPolicy")
    assert names(attached) == ["devs", "ann"]
    bounded = await root.ok("ListEntitiesForPolicy", PolicyArn=ARN, PolicyUsageFilter="PermissionsBoundary")
    assert names(bounded) == ["r"]
    assert names(await root.ok("ListEntitiesForPolicy", PolicyArn=ARN, EntityFilter="User")) == ["ann"]
    first = await root.ok("ListEntitiesForPolicy", PolicyArn=ARN, MaxItems=1)
    assert names(first) == ["devs"]
    assert names(await root.ok("ListEntitiesForPolicy", PolicyArn=ARN, Marker=first["Marker"])) == ["r", "ann"]
    assert (await root.refused("DeletePolicy", PolicyArn=ARN))[2] == "Cannot delete a policy attached to entities."


async def test_nobody_changes_what_aws_manages(root: QueryClient) -> None:
    for operation, fields in (
        ("CreatePolicyVersion", {"PolicyDocument": ALLOW_ALL}),
        ("DeletePolicy", {}),
        ("SetDefaultPolicyVersion", {"VersionId": "v1"}),
        ("TagPolicy", {"Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        assert (await root.refused(operation, PolicyArn=READ_ONLY, **fields))[:2] == (403, "AccessDenied"), operation
    version = (await root.ok("GetPolicy", PolicyArn=READ_ONLY))["Policy"]["DefaultVersionId"]
    text = (await root.ok("GetPolicyVersion", PolicyArn=READ_ONLY, VersionId=version))["PolicyVersion"]["Document"]
    assert "ecr:BatchGetImage" in unquote(text)
    assert "ecr:PutImage" not in unquote(text)


async def test_a_boundary_limits_at_once(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document("iam:GetUser"))
    await root.ok("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=ARN)
    await ann.ok("GetUser")
    status, code, message = await ann.refused("ListUsers")
    assert (status, code) == (403, "AccessDenied")
    assert message.endswith("because no permissions boundary allows the iam:ListUsers action")
    user = (await root.ok("GetUser", UserName="ann"))["User"]
    assert user["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": ARN,
    }
    assert (await root.refused("DeletePolicy", PolicyArn=ARN))[:2] == (409, "DeleteConflict")
    await root.ok("DeleteUserPermissionsBoundary", UserName="ann")
    await ann.ok("ListUsers")
    assert (await root.refused("DeleteUserPermissionsBoundary", UserName="ann"))[:2] == (404, "NoSuchEntity")
    bad = await root.refused("CreateUser", UserName="bob", PermissionsBoundary=ARN + "x")
    assert bad[:2] == (404, "NoSuchEntity")
    assert (await root.refused("GetUser", UserName="bob"))[0] == 404


@pytest.mark.parametrize("kind", ["User", "Role", "Policy"])
async def test_tags_are_set_over_each_other_whatever_their_case(root: QueryClient, kind: str) -> None:
    await root.ok("CreateUser", UserName="one")
    await root.ok("CreateRole", RoleName="one", AssumeRolePolicyDocument=TRUST)
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=ALLOW_ALL)
    who = {"PolicyArn": ARN} if kind == "Policy" else {f"{kind}Name": "one"}
    await root.ok(f"Tag{kind}", **who, Tags=[{"Key": "Team", "Value": "a"}, {"Key": "b c", "Value": ""}])
    await root.ok(f"Tag{kind}", **who, Tags=[{"Key": "team", "Value": "ü"}])
    first = await root.ok(f"List{kind}Tags", **who, MaxItems=1)
    assert first["Tags"] == [{"Key": "b c", "Value": ""}]
    rest = await root.ok(f"List{kind}Tags", **who, Marker=first["Marker"])
    assert rest["Tags"] == [{"Key": "team", "Value": "ü"}]
    await root.ok(f"Untag{kind}", **who, TagKeys=["TEAM", "not there"])
    assert (await root.ok(f"List{kind}Tags", **who))["Tags"] == [{"Key": "b c", "Value": ""}]
    for tags in (
        [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}],
        [{"Key": "aws:x", "Value": "1"}],
    ):
        assert (await root.refused(f"Tag{kind}", **who, Tags=tags))[:2] == (400, "InvalidInput")
    assert (await root.refused(f"Tag{kind}", **who, Tags=[{"Key": "a\u0001", "Value": "1"}]))[1] == "ValidationError"
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert (await root.refused(f"Tag{kind}", **who, Tags=many))[:2] == (409, "LimitExceeded")


async def test_a_policy_that_is_too_long_or_none_is_refused(root: QueryClient) -> None:
    long = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": [f"ecr:{'x' * 100}{n}" for n in range(60)], "Resource": "*"}],
        }
    )
    refused = await root.refused("CreatePolicy", PolicyName="p", PolicyDocument=long)
    assert refused == (409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    for text in ("{", TRUST, document("nothing")):
        refused = await root.refused("CreatePolicy", PolicyName="p", PolicyDocument=text)
        assert refused[:2] == (400, "MalformedPolicyDocument")
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document("ecr:*"))
    taken = await root.refused("CreatePolicy", PolicyName="P", Path="/x/", PolicyDocument=document("ecr:*"))
    assert taken == (
        409,
        "EntityAlreadyExists",
        "A policy called P already exists. Duplicate names are not allowed.",
    )


@pytest.mark.parametrize("kind", ["User", "Group", "Role"])
async def test_a_malformed_arn_of_a_policy_cannot_be_parsed(root: QueryClient, kind: str) -> None:
    for arn in ("there-is-no-arn-in-this-text", "arn:aws:iam::1:policy/p", ARN.replace(":policy/", ":role/")):
        for operation in (f"Attach{kind}Policy", f"Detach{kind}Policy"):
            refused = await root.refused(operation, **{f"{kind}Name": "nobody", "PolicyArn": arn})
            assert refused == (400, "ValidationError", "Invalid ARN:  Could not be parsed!")
    # A well-formed ARN of a policy that does not exist is looked up.
    refused = await root.refused(f"Attach{kind}Policy", **{f"{kind}Name": "nobody", "PolicyArn": ARN})
    assert refused[:2] == (404, "NoSuchEntity")


async def test_the_marker_after_a_policy_with_a_long_path_is_taken(root: QueryClient) -> None:
    path = f"/{'p' * 500}/"
    for name in ("a" * 128, "b" * 128):
        await root.ok("CreatePolicy", PolicyName=name, Path=path, PolicyDocument=ALLOW_ALL)
    first = await root.ok("ListPolicies", Scope="Local", MaxItems=1)
    assert len(first["Marker"]) > 320, "the service model allows no more"
    last = await root.ok("ListPolicies", Scope="Local", MaxItems=1, Marker=first["Marker"])
    assert [each["PolicyName"][0] for each in (*first["Policies"], *last["Policies"])] == ["a", "b"]
