"""Policy documents that IAM refuses, at every operation that takes one; and older ones, which are still in force."""

import json
from typing import Any

import pytest

from moorage.identity.principals.entity import USER
from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient

ONLY_STS = "AssumeRole policy may only specify STS AssumeRole actions."
OLD_VERSION = "Policy document must be version 2012-10-17 or greater."
ECR = f"arn:aws:ecr:us-east-1:{OWNER}:repository/app"


def document(action: Any = "ecr:*", resource: Any = "*", version: str | None = "2012-10-17") -> str:
    head = {} if version is None else {"Version": version}
    return json.dumps({**head, "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})


def trust(action: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
async def made(root: QueryClient) -> QueryClient:
    await root.ok("CreateUser", UserName="ann")
    await root.ok("CreateGroup", GroupName="devs")
    await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust("sts:AssumeRole"))
    await root.ok("CreatePolicy", PolicyName="p", PolicyDocument=document())
    return root


async def refusals(client: QueryClient, text: str) -> set[str]:
    """What every operation that takes an identity policy says."""
    managed = f"arn:aws:iam::{OWNER}:policy/p"
    fields: dict[str, str]
    said = set()
    for operation, fields in (
        ("CreatePolicy", {"PolicyName": "new"}),
        ("CreatePolicyVersion", {"PolicyArn": managed}),
        ("PutUserPolicy", {"UserName": "ann", "PolicyName": "new"}),
        ("PutGroupPolicy", {"GroupName": "devs", "PolicyName": "new"}),
        ("PutRolePolicy", {"RoleName": "r", "PolicyName": "new"}),
    ):
        status, code, message = await client.refused(operation, PolicyDocument=text, **fields)
        assert (status, code) == (400, "MalformedPolicyDocument")
        said.add(message)
    return said


@pytest.mark.parametrize("version", [None, "2008-10-17"])
async def test_managed_policies_need_the_newer_version(made: QueryClient, version: str | None) -> None:
    old, arn = document(version=version), f"arn:aws:iam::{OWNER}:policy/p"
    refused = (400, "MalformedPolicyDocument", OLD_VERSION)
    assert await made.refused("CreatePolicy", PolicyName="new", PolicyDocument=old) == refused
    assert await made.refused("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=old) == refused
    assert (await made.refused("GetPolicy", PolicyArn=f"{arn}new"))[0] == 404
    await made.ok("PutUserPolicy", UserName="ann", PolicyName="inline", PolicyDocument=old)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("*:PutImage", "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."),
        ("*:*", "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."),
        (["ecr:PutImage", "ec?:*"], "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."),
        ("ecr:Batch:Get", "Actions/Condition can contain only one colon."),
        ("e c r:PutImage", "Vendor e c r is not valid"),
        ("ecr:", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        ("PutImage", "an action is * or service:name, not PutImage, at /Statement/0/Action"),
    ],
)
async def test_actions_that_name_no_action_of_a_service(made: QueryClient, action: Any, says: str) -> None:
    assert await refusals(made, document(action)) == {says}
    inverse = document(action).replace('"Action"', '"NotAction"')
    assert await refusals(made, inverse) == {says.replace("/Action", "/NotAction")}


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("**", 'Resource ** must be in ARN format or "*".'),
        (["*", "*:repository/app"], 'Resource *:repository/app must be in ARN format or "*".'),
        ("app", "a resource is an ARN or *, not app, at /Statement/0/Resource"),
        ("arn:aws", "Resource vendor must be fully qualified and cannot contain regexes."),
        (
            "arn:amazon:s3:::bucket",
            'Partition "amazon" is not valid for resource "arn:amazon:s3:::bucket".',
        ),
        ("arn:amazon", 'Partition "amazon" is not valid for resource "arn:amazon:*:*:*:*".'),
        ("arn:aws::us-east-1:1:x", "The policy failed legacy parsing"),
        ("arn:aws:ecr::x", "The policy failed legacy parsing"),
        (
            f"arn:aws:iam:us-east-1:{OWNER}:user/ann",
            f"IAM resource arn:aws:iam:us-east-1:{OWNER}:user/ann cannot contain region information.",
        ),
        ("arn:aws:s3:us-east-1::bucket", "Resource arn:aws:s3:us-east-1::bucket can not contain region information."),
    ],
)
async def test_resources_that_are_no_arn(made: QueryClient, resource: Any, says: str) -> None:
    assert await refusals(made, document(resource=resource)) == {says}


async def test_types_of_iam_resources_are_written_in_full(made: QueryClient) -> None:
    (said,) = await refusals(made, document("iam:*", f"arn:aws:iam::{OWNER}:u*"))
    assert said.startswith('IAM resource path must either be "*" or start with user/, federated-user/, role/, group/')


@pytest.mark.parametrize(
    "text",
    [
        document("iam: asdf safdsf af "),
        document(["*", "s3:Get*", "ecr-public:*"]),
        document(resource=["arn:aws:ecr", "arn:aws:ecr:*", "arn:aws:ecr:*:*:*/app", ECR, "arn:aws-cn:s3:::b"]),
        document(resource=["arn:*:ecr:*:*:repository/*", "arn:aws:iam::*:user/*", "arn:aws:iam::*:*"]),
        document(version=None),
    ],
)
async def test_what_iam_takes_is_taken(made: QueryClient, text: str) -> None:
    await made.ok("PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=text)


async def test_trust_policies_name_actions_of_sts(made: QueryClient) -> None:
    refused = (400, "MalformedPolicyDocument", ONLY_STS)
    for action in ("ecr:PutImage", ["sts:AssumeRole", "iam:PassRole"], "*", "s*:AssumeRole", "sts:", "sts:a:b"):
        text = trust(action)
        assert await made.refused("CreateRole", RoleName="new", AssumeRolePolicyDocument=text) == refused
        assert await made.refused("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=text) == refused
    for action in ("sts:*", "STS:assumerole", ["sts:AssumeRole", "sts:TagSession"]):
        await made.ok("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust(action))


async def test_session_policies_are_held_to_the_same_rules(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    refused = await ann.refused("GetFederationToken", "sts", Name="guest", Policy=document("*:PutImage"))
    assert refused[:2] == (400, "MalformedPolicyDocument")
    await ann.ok("GetFederationToken", "sts", Name="guest", Policy=document(version=None))


async def test_a_document_that_is_stored_already_stays_in_force(root: QueryClient) -> None:
    """Documents from before the rules are read, decided on, shown and attached as they were."""
    ann = await root.user("ann")
    identity = root.identity
    old = document(["iam:GetUser", "x:y:z"], ["*", "**"], version=None)
    await identity.inline.put(USER, OWNER, "ann", "old", old, "me")
    await ann.ok("GetUser")
    listed = document("iam:ListUsers", version=None)
    policy = await identity.managed.create(OWNER, "/", "old", listed, "me")
    await root.ok("AttachUserPolicy", UserName="ann", PolicyArn=policy.arn)
    await ann.ok("ListUsers")
    await root.ok("GetPolicyVersion", PolicyArn=policy.arn, VersionId="v1")
    role = await identity.roles.create(OWNER, "/", "old", trust(["sts:*", "ecr:*"]), "me")
    await root.ok("GetRole", RoleName="old")
    await root.ok("PutUserPolicy", UserName="ann", PolicyName="may", PolicyDocument=document("sts:AssumeRole"))
    await ann.ok("AssumeRole", "sts", RoleArn=role.arn, RoleSessionName="me")
