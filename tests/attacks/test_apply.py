"""A file does nothing that its author may not do call by call, and a refused file does nothing at all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.login.keys import Key
from tests.attacks.signed import EVERYTHING, Answer, apply, call, document, new_user
from tests.running import RunningServer

MANAGEMENT = "000000000000"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("apply") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """One of its own for each test."""
    return f"77{sum(map(ord, request.node.name)) % 10**6:010d}"


def everything_of(server: RunningServer, account: str) -> Any:
    """All that the account has."""
    exported = call(server, Key(account, "test"), "/_moorage/export", {})
    details = server.client("iam", account).get_account_authorization_details()
    keys = {
        user["UserName"]: server.client("iam", account).list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
        for user in details["UserDetailList"]
    }
    return exported.json, details["Policies"], keys


def refused(answer: Answer, action: str, change: str) -> None:
    assert answer.status == 400, answer
    assert answer.json["__type"] == "AccessDeniedException"
    assert f"is not authorized to perform: {action} on resource" in answer.message, answer.message
    assert answer.message.startswith(f"Nothing was changed. {change}"), answer.message


def test_what_an_scp_denies(server: RunningServer, account: str) -> None:
    """One apply made an administrator with a key, made and deleted repositories, and deleted a policy."""
    ecr, iam = server.client("ecr", account), server.client("iam", account)
    ecr.create_repository(repositoryName="kept")
    iam.create_policy(PolicyName="kept", PolicyDocument=document(EVERYTHING))
    key = new_user(server, account, "author", EVERYTHING)
    denied = {
        "Effect": "Deny",
        "Action": ["iam:Create*", "iam:Delete*", "ecr:CreateRepository", "ecr:DeleteRepository"],
        "Resource": "*",
    }
    organization = {
        "id": "o-moorage000",
        "managementAccount": MANAGEMENT,
        "serviceControlPolicies": {"Guard": {"Version": "2012-10-17", "Statement": [denied]}},
        "root": {
            "id": "r-ab12",
            "accounts": [
                {"id": MANAGEMENT},
                {"id": account, "serviceControlPolicies": ["FullAWSAccess", "Guard"]},
            ],
        },
    }
    root = Key(MANAGEMENT, "test")
    assert call(server, root, "/_moorage/organization/put", {"document": json.dumps(organization)}).status == 200
    try:
        before = everything_of(server, account)
        for said, asked, action, change in (
            ({"users": {"eve": {"attached": [ADMINISTRATOR]}}}, {"keys": True}, "iam:CreateUser", "users/eve: "),
            ({"repositories": {"us-east-1": {"new": {}}}}, {}, "ecr:CreateRepository", "repositories/us-east-1/new: "),
            ({"users": {"author": {}}}, {"keys": True}, "iam:DeleteUserPolicy", "users/author, inline/own: "),
            (
                {"users": {"author": {"inline": {"own": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}}},
                 "policies": {"kept": {"document": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}}},
                {"prune": True}, "ecr:DeleteRepository", "repositories/us-east-1/kept: ",
            ),
            (
                {"users": {"author": {"inline": {"own": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}}},
                 "repositories": {"us-east-1": {"kept": {}}}},
                {"prune": True}, "iam:DeletePolicy", "policies/kept: ",
            ),
        ):  # fmt: skip
            answer = apply(server, key, json.dumps({"accounts": {account: said}}), **asked)
            refused(answer, action, change)
            assert "with an explicit deny in a service control policy" in answer.message
            assert everything_of(server, account) == before
    finally:
        assert call(server, root, "/_moorage/organization/delete", {}).status == 200


def test_a_boundary_that_allows_nothing_of_iam_is_not_removed(server: RunningServer, account: str) -> None:
    iam = server.client("iam", account)
    key = new_user(server, account, "author", EVERYTHING)
    allowed = {"Effect": "Allow", "Action": ["moorage:*", "ecr:*"], "Resource": "*"}
    arn = iam.create_policy(PolicyName="edge", PolicyDocument=document(allowed))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="author", PermissionsBoundary=arn)
    own = {"own": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}
    before = everything_of(server, account)
    for user, action in (
        ({"inline": own}, "iam:DeleteUserPermissionsBoundary"),
        ({"inline": own, "boundary": ADMINISTRATOR}, "iam:PutUserPermissionsBoundary"),
    ):
        answer = apply(server, key, json.dumps({"accounts": {account: {"users": {"author": user}}}}))
        refused(answer, action, "users/author, boundary: ")
        assert "permissions boundary" in answer.message
        assert everything_of(server, account) == before


def test_everything_but_iam_obtains_no_administrator(server: RunningServer, account: str) -> None:
    key = new_user(server, account, "author", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    before = everything_of(server, account)
    answer = apply(
        server, key, json.dumps({"accounts": {account: {"users": {"eve": {"attached": [ADMINISTRATOR]}}}}}), keys=True
    )
    refused(answer, "iam:CreateUser", "users/eve: ")
    assert everything_of(server, account) == before


def test_a_file_that_widens_its_authors_rights_does_not_use_them(server: RunningServer, account: str) -> None:
    """All of it is decided on what is in force before anything of it is done."""
    key = new_user(
        server, account, "author",
        {"Effect": "Allow", "Action": ["moorage:Apply", "iam:PutUserPolicy"], "Resource": "*"},
    )  # fmt: skip
    before = everything_of(server, account)
    said = {
        "users": {"author": {"inline": {"own": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}}},
        "repositories": {"us-east-1": {"new": {}}},
    }
    refused(
        apply(server, key, json.dumps({"accounts": {account: said}})),
        "ecr:CreateRepository",
        "repositories/us-east-1/new: ",
    )
    assert everything_of(server, account) == before


def test_sessions_that_iam_refuses_apply_nothing_of_it(server: RunningServer, account: str) -> None:
    """Those of GetSessionToken without MFA, and federated users: whatever their policies say."""
    key = new_user(server, account, "author", EVERYTHING)
    sts = server.client("sts", key.id, key.secret)
    for made in (
        sts.get_session_token()["Credentials"],
        sts.get_federation_token(Name="eve", Policy=document(EVERYTHING))["Credentials"],
    ):
        session = Key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        text = json.dumps({"accounts": {account: {"users": {"eve": {}}}}})
        before = everything_of(server, account)
        answer = apply(server, session, text)
        assert answer.status == 400
        assert "users/eve: IAM takes no calls of" in answer.message
        assert everything_of(server, account) == before
        text = json.dumps({"accounts": {account: {"repositories": {"us-east-1": {"new": {}}}}}})
        assert apply(server, session, text).status == 200
        server.client("ecr", account).delete_repository(repositoryName="new")
