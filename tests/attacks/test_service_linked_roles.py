"""Attacks on the exemption of service-linked roles from SCPs: whatever a role is called, its SCPs bind it."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.admin_calls import Keys, keys_of, user
from tests.support.server_process import Error, ServerProcess

MANAGEMENT, MEMBER = "000000000000", "222211110000"
RESERVED = "/aws-service-role/replication.ecr.amazonaws.com/"
SENTENCE = "Path prefix '/aws-service-role/' can only be used for AWS Service linked Roles"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
GUARDED = {
    "id": "o-guardguard",
    "managementAccount": MANAGEMENT,
    "serviceControlPolicies": {
        "Guard": {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Deny",
                "Action": ["ecr:DeleteRepository", "iam:CreateUser", "moorage:Purge"],
                "Resource": "*",
            },
        }
    },
    "root": {
        "id": "r-ab12",
        "accounts": [{"id": MANAGEMENT}, {"id": MEMBER, "serviceControlPolicies": ["FullAWSAccess", "Guard"]}],
    },
}


def trust(principal: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


TRUSTED = trust({"AWS": MEMBER})


def guard(server: ServerProcess) -> None:
    status, text = Keys(MANAGEMENT).post(server, "organization/put", {"document": json.dumps(GUARDED)})
    assert status == 200, text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("service-linked") / "data").start()
    guard(running)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def member(server: ServerProcess) -> Keys:
    """An administrator of the member account."""
    server.client("ecr", MEMBER).create_repository(repositoryName="guarded")
    Keys(MANAGEMENT).post(server, "organization/delete", {})  # the SCP forbids to make users
    keys = user(server, MEMBER, "administrator", ALL)
    guard(server)
    return keys


def assert_bound(server: ServerProcess, keys: Keys) -> None:
    """The SCP denies all three of its actions."""
    said = "with an explicit deny in a service control policy"
    with pytest.raises(Error, match=said):
        keys.client(server, "ecr").delete_repository(repositoryName="guarded", force=True)
    with pytest.raises(Error, match=said):
        keys.client(server, "iam").create_user(UserName="made-past-the-guard")
    status, text = keys.post(server, "purge", {"repository": "guarded"})
    assert status == 400
    assert said in text


def taken_on(server: ServerProcess, keys: Keys, arn: str) -> Keys:
    sts = keys.client(server, "sts")
    return keys_of(sts.assume_role(RoleArn=arn, RoleSessionName="session"))


@pytest.mark.parametrize("path", [RESERVED, "/aws-service-role/", "/aws-service-role/x/", "/aws-service-role//"])
def test_no_role_is_made_at_a_path_of_service_linked_roles(server: ServerProcess, member: Keys, path: str) -> None:
    iam = member.client(server, "iam")
    with pytest.raises(Error) as refused:
        iam.create_role(RoleName="linked", Path=path, AssumeRolePolicyDocument=TRUSTED)
    assert refused.value.response["Error"]["Code"] == "InvalidInput"
    assert refused.value.response["Error"]["Message"] == SENTENCE
    with pytest.raises(Error, match="NoSuchEntity"):
        iam.get_role(RoleName="linked")


def test_no_file_declares_one(server: ServerProcess, member: Keys) -> None:
    role = f"{{path: {RESERVED}, trust: {TRUSTED}}}"
    file = f'version: 1\naccounts:\n  "{MEMBER}":\n    groups:\n      first:\n    roles:\n      declared: {role}\n'
    status, text = member.post(server, "apply", {"text": file})
    assert status == 400
    assert f"/accounts/{MEMBER}/roles/declared/path: {SENTENCE}" in text
    iam = member.client(server, "iam")
    with pytest.raises(Error, match="NoSuchEntity"):
        iam.get_group(GroupName="first")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("smuggled", "/x:role/aws-service-role/replication.ecr.amazonaws.com/"),
        ("doubled", "//aws-service-role/replication.ecr.amazonaws.com/"),
        ("below", "/team/aws-service-role/replication.ecr.amazonaws.com/"),
        ("AWSServiceRoleForECRReplication", "/"),
    ],
)
def test_no_name_and_no_path_takes_a_role_out_of_its_scps(
    server: ServerProcess, member: Keys, name: str, path: str
) -> None:
    iam = member.client(server, "iam")
    arn = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUSTED)["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR)
    assert_bound(server, taken_on(server, member, arn))
    iam.detach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR)
    iam.delete_role(RoleName=name)


def test_a_role_made_at_such_a_path_before_it_was_refused_is_bound(server: ServerProcess, member: Keys) -> None:
    """What makes a role service-linked is its column, which CreateServiceLinkedRole alone has ever filled."""
    iam = member.client(server, "iam")
    service = "replication.ecr.amazonaws.com"
    made = iam.create_role(RoleName="old", AssumeRolePolicyDocument=trust({"AWS": MEMBER, "Service": service}))
    iam.attach_role_policy(RoleName="old", PolicyArn=ADMINISTRATOR)
    server.stop()
    with sqlite3.connect(server.data / "moorage.db") as database:
        found = database.execute("UPDATE identities SET path = ? WHERE name = 'old'", (RESERVED,)).rowcount
    assert found == 1
    server.start()
    arn = made["Role"]["Arn"].replace("/old", f"{RESERVED}old")
    assert iam.get_role(RoleName="old")["Role"]["Arn"] == arn
    session = taken_on(server, member, arn)
    assert_bound(server, session)
    results = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["iam:CreateUser"])["EvaluationResults"]
    assert results[0]["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
    rows = json.loads(member.post(server, "access", {"principal": arn})[1])["rows"]
    assert rows[0]["cells"]["administer"]["answer"] == "yes"  # by other actions than the one that is denied
    with pytest.raises(Error, match="NoSuchEntity"):
        iam.delete_service_linked_role(RoleName="old")
    iam.update_role(RoleName="old", Description="an ordinary role")
    iam.detach_role_policy(RoleName="old", PolicyArn=ADMINISTRATOR)
    iam.delete_role(RoleName="old")


def test_nobody_takes_on_or_changes_a_role_that_is_service_linked(server: ServerProcess, member: Keys) -> None:
    iam = member.client(server, "iam")
    role = iam.create_service_linked_role(AWSServiceName="replication.ecr.amazonaws.com")["Role"]
    for keys in (member, Keys(MEMBER)):
        with pytest.raises(Error, match="AccessDenied"):
            taken_on(server, keys, role["Arn"])
    name = {"RoleName": role["RoleName"]}
    with pytest.raises(Error, match="UnmodifiableEntity"):
        iam.update_assume_role_policy(**name, PolicyDocument=TRUSTED)
    with pytest.raises(Error, match="UnmodifiableEntity"):
        iam.attach_role_policy(**name, PolicyArn=ADMINISTRATOR)
    with pytest.raises(Error, match="UnmodifiableEntity"):
        iam.put_role_policy(**name, PolicyName="p", PolicyDocument=json.dumps({"Statement": ALL}))
    iam.delete_service_linked_role(**name)


def test_such_paths_mean_nothing_on_users_groups_and_policies(server: ServerProcess, member: Keys) -> None:
    iam = member.client(server, "iam")
    iam.update_user(UserName="administrator", NewPath=RESERVED)
    assert_bound(server, member)
    iam.update_user(UserName="administrator", NewPath="/")
    iam.create_group(GroupName="group", Path=RESERVED)
    iam.delete_group(GroupName="group")


def test_the_status_of_a_deletion_tells_nothing_of_other_roles(server: ServerProcess, member: Keys) -> None:
    """A made-up task would say whether a role of any name is there, decided on an ARN of the caller's choice."""
    iam = member.client(server, "iam")
    iam.create_role(RoleName="secret", AssumeRolePolicyDocument=TRUSTED)
    for name in ("secret", "nothing"):
        task = f"task{RESERVED}{name}/11111111-1111-1111-1111-111111111111"
        with pytest.raises(Error) as refused:
            iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
        assert refused.value.response["Error"]["Code"] == "InvalidInput"
    iam.delete_role(RoleName="secret")
