"""What an administrator may delegate with IAM's own condition keys and resources."""

import json
from typing import Any

from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def allowing(action: Any, condition: Any, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def test_only_some_policies_may_be_attached(root: QueryClient) -> None:
    policy = allowing("iam:*UserPolicy", {"ArnEquals": {"iam:PolicyARN": READ_ONLY}})
    ann = await root.user("ann", policy)
    await ann.ok("AttachUserPolicy", UserName="ann", PolicyArn=READ_ONLY)
    assert (await ann.refused("AttachUserPolicy", UserName="ann", PolicyArn=ADMIN))[:2] == (403, "AccessDenied")
    await ann.ok("DetachUserPolicy", UserName="ann", PolicyArn=READ_ONLY)


async def test_users_may_be_made_within_a_boundary_alone(root: QueryClient) -> None:
    actions = ["iam:CreateUser", "iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:PutUserPermissionsBoundary"]
    ann = await root.user("ann", allowing(actions, {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}))
    assert (await ann.refused("CreateUser", UserName="bob"))[0] == 403
    assert (await ann.refused("CreateUser", UserName="bob", PermissionsBoundary=ADMIN))[0] == 403
    await ann.ok("CreateUser", UserName="bob", PermissionsBoundary=READ_ONLY)
    await ann.ok("PutUserPolicy", UserName="bob", PolicyName="p", PolicyDocument=ALLOW_ALL)
    await ann.ok("AttachUserPolicy", UserName="bob", PolicyArn=ADMIN)
    # Of somebody without that boundary she may change nothing, herself included.
    assert (await ann.refused("PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=ALLOW_ALL))[0] == 403
    assert (await ann.refused("PutUserPermissionsBoundary", UserName="bob", PermissionsBoundary=ADMIN))[0] == 403


async def test_tags_of_the_request_and_of_the_resource_decide(root: QueryClient) -> None:
    ann = await root.user("ann", allowing("iam:*User", {"StringEquals": {"aws:RequestTag/team": "a"}}))
    assert (await ann.refused("CreateUser", UserName="x"))[0] == 403
    assert (await ann.refused("CreateUser", UserName="x", Tags=[{"Key": "team", "Value": "b"}]))[0] == 403
    await ann.ok("CreateUser", UserName="x", Tags=[{"Key": "Team", "Value": "a"}])
    bob = await root.user("bob", allowing("iam:*", {"StringEquals": {"iam:ResourceTag/team": "a"}}))
    await bob.ok("GetUser", UserName="x")
    assert (await bob.refused("GetUser", UserName="ann"))[0] == 403
    cyd = await root.user(
        "cyd", allowing("iam:UntagUser", {"ForAllValues:StringEquals": {"aws:TagKeys": ["note", "colour"]}})
    )
    await cyd.ok("UntagUser", UserName="x", TagKeys=["note"])
    assert (await cyd.refused("UntagUser", UserName="x", TagKeys=["note", "team"]))[0] == 403


async def test_principal_tags_reach_policies(root: QueryClient) -> None:
    policy = allowing("iam:GetUser", {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/Team}"}})
    ann = await root.user("ann", policy)
    assert (await ann.refused("GetUser"))[0] == 403
    await root.ok("TagUser", UserName="ann", Tags=[{"Key": "team", "Value": "a"}])
    await ann.ok("GetUser")


async def test_a_rename_needs_both_names(root: QueryClient) -> None:
    ann = await root.user("ann", allowing("iam:UpdateUser", {}, f"arn:aws:iam::{OWNER}:user/mine/*"))
    await root.ok("CreateUser", UserName="bob", Path="/mine/")
    await root.ok("CreateUser", UserName="cyd")
    await ann.ok("UpdateUser", UserName="bob", NewUserName="rob")
    assert (await ann.refused("UpdateUser", UserName="rob", NewPath="/"))[0] == 403
    assert (await ann.refused("UpdateUser", UserName="cyd", NewPath="/mine/"))[0] == 403
    assert (await root.refused("UpdateUser", UserName="rob", NewUserName="CYD"))[:2] == (409, "EntityAlreadyExists")


async def test_a_session_without_mfa_may_not_use_iam(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    made = (await ann.ok("GetSessionToken", "sts"))["Credentials"]
    session = root.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert (await session.refused("ListUsers"))[:2] == (403, "InvalidClientTokenId")


async def test_a_role_is_nobodys_user_and_makes_the_root_no_keys(root: QueryClient) -> None:
    trust = '{"Statement":[{"Effect":"Allow","Principal":{"Service":"x.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    role = (await root.ok("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust))["Role"]
    await root.ok("AttachRolePolicy", RoleName="r", PolicyArn=ADMIN)
    made = await root.identity.sessions.create(OWNER, role["RoleId"], 900, kind="role", name="run", by="tests")
    session = root.as_key(made.id, made.secret, made.token)
    mine = (await root.ok("ListAccessKeys"))["AccessKeyMetadata"][0]["AccessKeyId"]
    for operation, fields in (
        ("CreateAccessKey", {}),
        ("ListAccessKeys", {}),
        ("DeleteAccessKey", {"AccessKeyId": mine}),
        ("UpdateAccessKey", {"AccessKeyId": mine, "Status": "Inactive"}),
        ("GetUser", {}),
        ("ListMFADevices", {}),
        ("DeleteLoginProfile", {}),
    ):
        refused = await session.refused(operation, **fields)
        assert refused == (
            400,
            "ValidationError",
            "Must specify userName when calling with non-User credentials",
        ), operation
    assert len((await root.ok("ListAccessKeys"))["AccessKeyMetadata"]) == 1
    await session.ok("CreateUser", UserName="ann")
    await session.ok("CreateAccessKey", UserName="ann")


async def test_federated_users_may_not_use_iam(root: QueryClient) -> None:
    made = await root.identity.sessions.create(
        OWNER, None, 900, kind="federated", name="bob", policy=ALLOW_ALL, by="tests"
    )
    session = root.as_key(made.id, made.secret, made.token)
    assert (await session.refused("ListUsers"))[:2] == (403, "InvalidClientTokenId")
    assert (await session.refused("CreateAccessKey"))[0] >= 400
