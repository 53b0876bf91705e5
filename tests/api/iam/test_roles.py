"""Roles through the AWS door: their life, their trust policies, what comes back of them."""

import json
from urllib.parse import unquote

import pytest

from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWNER}:root"}, "Action": "sts:AssumeRole"}],
}
TRUSTED = json.dumps(TRUST)


async def test_a_role_is_made_shown_changed_and_deleted(root: QueryClient) -> None:
    made = (
        await root.ok(
            "CreateRole",
            RoleName="build",
            Path="/ci/",
            AssumeRolePolicyDocument=TRUSTED,
            Description="builds",
            MaxSessionDuration=7200,
            Tags=[{"Key": "team", "Value": "a"}],
        )
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{OWNER}:role/ci/build"
    assert made["RoleId"].startswith("AROA")
    assert (made["Description"], made["Tags"]) == ("builds", [{"Key": "team", "Value": "a"}])
    shown = (await root.ok("GetRole", RoleName="BUILD"))["Role"]
    # CreateRole leaves out what GetRole tells of the role's sessions.
    assert shown == {**made, "MaxSessionDuration": 7200, "RoleLastUsed": {}}
    listed = (await root.ok("ListRoles", PathPrefix="/ci/"))["Roles"]
    assert [role["RoleName"] for role in listed] == ["build"]
    assert "Tags" not in listed[0]
    await root.ok("UpdateRole", RoleName="build", MaxSessionDuration=3600)
    assert (await root.ok("UpdateRoleDescription", RoleName="build", Description=""))["Role"].get("Description") is None
    assert (await root.ok("GetRole", RoleName="build"))["Role"]["MaxSessionDuration"] == 3600
    assert (await root.ok("ListInstanceProfilesForRole", RoleName="build"))["InstanceProfiles"] == []
    await root.ok("DeleteRole", RoleName="build")
    gone = (404, "NoSuchEntity", "The role with name build cannot be found.")
    assert await root.refused("GetRole", RoleName="build") == gone
    assert await root.refused("DeleteRole", RoleName="build") == gone


async def test_a_name_is_taken_whatever_its_case_but_a_user_may_have_it_too(root: QueryClient) -> None:
    await root.ok("CreateRole", RoleName="one", AssumeRolePolicyDocument=TRUSTED)
    refused = await root.refused("CreateRole", RoleName="ONE", AssumeRolePolicyDocument=TRUSTED)
    assert refused == (409, "EntityAlreadyExists", "Role with name ONE already exists.")
    await root.ok("CreateUser", UserName="one")


async def test_a_role_with_policies_is_not_deleted(root: QueryClient) -> None:
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUSTED)
    await root.ok("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=ALLOW_ALL)
    arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    await root.ok("AttachRolePolicy", RoleName="r", PolicyArn=arn)
    conflict = await root.refused("DeleteRole", RoleName="r")
    assert conflict == (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    await root.ok("DetachRolePolicy", RoleName="r", PolicyArn=arn)
    assert (await root.refused("DeleteRole", RoleName="r"))[:2] == (409, "DeleteConflict")
    await root.ok("DeleteRolePolicy", RoleName="r", PolicyName="p")
    await root.ok("DeleteRole", RoleName="r")


async def test_a_trust_policy_keeps_who_it_names_by_id_and_shows_the_arn(root: QueryClient) -> None:
    ann = f"arn:aws:iam::{OWNER}:user/ann"
    await root.ok("CreateUser", UserName="ann")
    trust = TRUSTED.replace(f"arn:aws:iam::{OWNER}:root", ann)
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust)

    async def named() -> str:
        role = (await root.ok("GetRole", RoleName="r"))["Role"]
        document = json.loads(unquote(role["AssumeRolePolicyDocument"]))
        aws: str = document["Statement"][0]["Principal"]["AWS"]
        return aws

    assert await named() == ann
    await root.ok("UpdateUser", UserName="ann", NewUserName="anna", NewPath="/x/")
    assert await named() == f"arn:aws:iam::{OWNER}:user/x/anna"
    await root.ok("DeleteUser", UserName="anna")
    left = await named()
    assert left.startswith("AIDA")
    await root.ok("CreateUser", UserName="anna", Path="/x/")
    assert await named() == left
    # What was left over may stay, but nobody can be trusted anew who is not there.
    await root.ok("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust.replace(ann, left))
    status, code, message = await root.refused("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust)
    assert (status, code, message) == (400, "MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{ann}"')


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "{}",
        '{"Version":"2012-10-17","Statement":[]}',
        '{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"nobody"},"Action":"sts:AssumeRole"}]}',
        "[" * 20_000,
        '{"a":' * 20_000,
        '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"' + "*" * 60_000 + '"},"Action":"sts:*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*","Condition":{"StringLike":{"aws:username":"'
        + "*a" * 3000
        + '"}}}]}',
    ],
)
async def test_a_malformed_trust_policy_is_refused(root: QueryClient, document: str) -> None:
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUSTED)
    for operation, field in (("CreateRole", "AssumeRolePolicyDocument"), ("UpdateAssumeRolePolicy", "PolicyDocument")):
        name = "new" if operation == "CreateRole" else "r"
        refused = await root.refused(operation, **{"RoleName": name, field: document})
        assert refused[:2] == (400, "MalformedPolicyDocument")
    assert (await root.refused("GetRole", RoleName="new"))[0] == 404


async def test_a_trust_policy_has_a_quota_without_white_space(root: QueryClient) -> None:
    padded = TRUSTED.replace("{", "{" + " " * 3000, 1)
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=padded)
    long = json.dumps({**TRUST, "Id": "x" * 2048})
    refused = await root.refused("CreateRole", RoleName="s", AssumeRolePolicyDocument=long)
    assert refused == (409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")


async def test_a_service_linked_role_is_its_services(root: QueryClient) -> None:
    service = "replication.ecr.amazonaws.com"
    role = (await root.ok("CreateServiceLinkedRole", AWSServiceName=service))["Role"]
    assert role["Arn"] == f"arn:aws:iam::{OWNER}:role/aws-service-role/{service}/AWSServiceRoleForECRReplication"
    assert (await root.refused("CreateServiceLinkedRole", AWSServiceName=service))[:2] == (400, "InvalidInput")
    assert (await root.refused("CreateServiceLinkedRole", AWSServiceName="x.amazonaws.com"))[1] == "InvalidInput"
    for operation, fields in (
        ("DeleteRole", {}),
        ("UpdateRole", {"Description": "x"}),
        ("PutRolePolicy", {"PolicyName": "p", "PolicyDocument": ALLOW_ALL}),
        ("AttachRolePolicy", {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("UpdateAssumeRolePolicy", {"PolicyDocument": TRUSTED}),
        ("TagRole", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("PutRolePermissionsBoundary", {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ):
        refused = await root.refused(operation, RoleName=role["RoleName"], **fields)
        assert refused[:2] == (400, "UnmodifiableEntity"), operation
    task = (await root.ok("DeleteServiceLinkedRole", RoleName=role["RoleName"]))["DeletionTaskId"]
    status = await root.ok("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task)
    assert status["Status"] == "SUCCEEDED"
    assert (await root.refused("GetRole", RoleName=role["RoleName"]))[0] == 404
    await root.ok("CreateRole", RoleName="own", AssumeRolePolicyDocument=TRUSTED)
    assert (await root.refused("DeleteServiceLinkedRole", RoleName="own"))[0] == 404
