"""IAM and STS through the AWS door: users, keys and sessions."""

import json
from typing import Any

import pytest

from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient


async def test_a_user_is_made_shown_listed_and_deleted(root: QueryClient) -> None:
    made = (await root.ok("CreateUser", UserName="ann", Path="/team/"))["User"]
    assert made["Arn"] == f"arn:aws:iam::{OWNER}:user/team/ann"
    assert (await root.ok("GetUser", UserName="ann"))["User"] == made
    assert (await root.ok("ListUsers", PathPrefix="/team"))["Users"] == [made]
    assert (await root.ok("ListUsers", PathPrefix="/other"))["Users"] == []
    assert (await root.refused("CreateUser", UserName="ANN"))[:2] == (409, "EntityAlreadyExists")
    await root.ok("DeleteUser", UserName="ann")
    gone = (404, "NoSuchEntity", "The user with name ann cannot be found.")
    assert await root.refused("GetUser", UserName="ann") == gone
    assert await root.refused("DeleteUser", UserName="ann") == gone


async def test_lists_come_in_pages(root: QueryClient) -> None:
    for name in ("c", "a", "B"):
        await root.ok("CreateUser", UserName=name)
    first = await root.ok("ListUsers", MaxItems=2)
    assert [user["UserName"] for user in first["Users"]] == ["a", "B"]
    assert first["IsTruncated"] is True
    last = await root.ok("ListUsers", MaxItems=2, Marker=first["Marker"])
    assert [user["UserName"] for user in last["Users"]] == ["c"]
    assert last["IsTruncated"] is False
    assert "Marker" not in last
    for forged in ("%", "é", "=x=", "AA=="):
        assert (await root.refused("ListUsers", Marker=forged))[:2] == (400, "ValidationError")


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("CreateUser", {}),
        ("CreateUser", {"UserName": ""}),
        ("CreateUser", {"UserName": "a/b"}),
        ("CreateUser", {"UserName": "x" * 65}),
        ("CreateUser", {"UserName": "a", "Path": "no"}),
        ("CreateUser", {"UserName": "a", "Path": "/no"}),
        ("ListUsers", {"MaxItems": 0}),
        ("ListUsers", {"MaxItems": 1001}),
        ("UpdateAccessKey", {"AccessKeyId": "A" * 20, "Status": "Off"}),
        ("DeleteAccessKey", {"AccessKeyId": "short"}),
    ],
)
async def test_fields_are_held_against_the_model(root: QueryClient, operation: str, fields: dict[str, Any]) -> None:
    assert (await root.refused(operation, **fields))[:2] == (400, "ValidationError")


async def test_a_key_lives_sleeps_and_dies(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    assert (await ann.ok("GetUser"))["User"]["UserName"] == "ann"
    key = (await ann.ok("ListAccessKeys"))["AccessKeyMetadata"][0]
    assert key["Status"] == "Active"
    assert "SecretAccessKey" not in key
    await root.ok("UpdateAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert (await ann.refused("GetUser"))[:2] == (403, "InvalidClientTokenId")
    assert (await root.refused("DeleteUser", UserName="ann"))[:2] == (409, "DeleteConflict")
    await root.ok("CreateAccessKey", UserName="ann")
    assert (await root.refused("CreateAccessKey", UserName="ann"))[:2] == (409, "LimitExceeded")
    await root.ok("DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"])
    assert (await root.refused("DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"]))[0] == 404
    wrong = root.as_key((await root.ok("ListAccessKeys"))["AccessKeyMetadata"][0]["AccessKeyId"], "wrong")
    assert (await wrong.refused("GetUser"))[:2] == (403, "SignatureDoesNotMatch")


async def test_policies_come_back_percent_encoded_as_given(root: QueryClient) -> None:
    await root.ok("CreateUser", UserName="ann")
    text = ALLOW_ALL.replace(":", ": ")
    await root.ok("PutUserPolicy", UserName="ann", PolicyName="all", PolicyDocument=text)
    _, body = await root.send("iam", "GetUserPolicy", {"UserName": "ann", "PolicyName": "all"})
    assert b"<PolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22" in body
    assert (await root.ok("ListUserPolicies", UserName="ann"))["PolicyNames"] == ["all"]
    with_principal = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]})
    for malformed in ("{", "{}", with_principal):
        refused = await root.refused("PutUserPolicy", UserName="ann", PolicyName="q", PolicyDocument=malformed)
        assert refused[:2] == (400, "MalformedPolicyDocument")
    await root.ok("DeleteUserPolicy", UserName="ann", PolicyName="all")
    assert (await root.refused("GetUserPolicy", UserName="ann", PolicyName="all"))[:2] == (404, "NoSuchEntity")


async def test_a_user_may_only_what_its_policy_says_on_true_arns(root: QueryClient) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*", "Resource": f"arn:aws:iam::{OWNER}:user/admins/*"},
        ],
    }
    await root.ok("CreateUser", UserName="chief", Path="/admins/")
    ann, bob = await root.user("ann", json.dumps(policy)), await root.user("bob")
    assert (await bob.refused("GetUser"))[:2] == (403, "AccessDenied")
    await ann.ok("CreateAccessKey", UserName="bob")
    for name in ("chief", "CHIEF"):
        assert (await ann.refused("CreateAccessKey", UserName=name))[:2] == (403, "AccessDenied")
    assert (await ann.refused("CreateUser", UserName="x", Path="/admins/"))[:2] == (403, "AccessDenied")


async def test_anybody_may_ask_who_they_are(root: QueryClient) -> None:
    deny = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    ann = await root.user("ann", deny)
    who = await ann.ok("GetCallerIdentity", "sts")
    assert (who["Account"], who["Arn"]) == (OWNER, f"arn:aws:iam::{OWNER}:user/ann")
    assert who["UserId"].startswith("AIDA")
    assert (await root.ok("GetCallerIdentity", "sts"))["UserId"] == OWNER


async def test_a_session_is_its_user_but_makes_nothing(root: QueryClient) -> None:
    ann = await root.user("ann", ALLOW_ALL)
    made = (await ann.ok("GetSessionToken", "sts", DurationSeconds=900))["Credentials"]
    session = root.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert (await session.ok("GetCallerIdentity", "sts"))["Arn"] == f"arn:aws:iam::{OWNER}:user/ann"
    assert (await session.refused("CreateAccessKey"))[:2] == (403, "InvalidClientTokenId")
    assert (await session.refused("GetSessionToken", "sts"))[:2] == (403, "AccessDenied")
    forged = root.as_key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"][:-1] + "!")
    assert (await forged.refused("GetCallerIdentity", "sts"))[0] == 403
    for seconds in (899, 129_601):
        refused = await ann.refused("GetSessionToken", "sts", DurationSeconds=seconds)
        assert refused[:2] == (400, "ValidationError")


async def test_unknown_actions_are_named_invalid(root: QueryClient) -> None:
    status, body = await root.send("iam", "MakeCoffee", {})
    assert status == 400
    assert b"<Code>InvalidAction</Code>" in body


async def test_what_is_left_out_is_an_invalid_action(root: QueryClient) -> None:
    for service, action in (
        ("sts", "AssumeRoot"),
        ("iam", "CreateSAMLProvider"),
        ("iam", "CreateOpenIDConnectProvider"),
        ("iam", "CreateInstanceProfile"),
        ("iam", "GenerateCredentialReport"),
    ):
        status, body = await root.send(service, action, {})
        assert status == 400
        assert b"<Code>InvalidAction</Code>" in body
