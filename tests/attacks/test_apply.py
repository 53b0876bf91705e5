"""A file does nothing that its author may not do call by call, and a refused file does nothing at all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.declarative.steps import ACTIONS
from tests.attacks.apply_calls import EVERYTHING, Answer, apply, call, document, grant
from tests.declarative import files
from tests.support.admin_calls import Keys, keys_of, user
from tests.support.server_process import ServerProcess

MANAGEMENT = "000000000000"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("apply") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    """One of its own for each test."""
    return f"77{sum(map(ord, request.node.name)) % 10**6:010d}"


def everything_of(server: ServerProcess, account: str) -> Any:
    """All that the account has."""
    exported = call(server, Keys(account, "test"), "export", {})
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


def test_what_an_scp_denies(server: ServerProcess, account: str) -> None:
    """One apply made an administrator with a key, made and deleted repositories, and deleted a policy."""
    ecr, iam = server.client("ecr", account), server.client("iam", account)
    ecr.create_repository(repositoryName="kept")
    iam.create_policy(PolicyName="kept", PolicyDocument=document(EVERYTHING))
    key = user(server, account, "author", EVERYTHING)
    denied = {
        "Effect": "Deny",
        "Action": ["iam:Create*", "iam:Delete*", "ecr:CreateRepository", "ecr:DeleteRepository"],
        "Resource": "*",
    }
    guarded(server, account, denied)
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
        assert call(server, Keys(MANAGEMENT, "test"), "organization/delete", {}).status == 200


def test_a_boundary_that_allows_nothing_of_iam_is_not_removed(server: ServerProcess, account: str) -> None:
    iam = server.client("iam", account)
    key = user(server, account, "author", EVERYTHING)
    allowed = {"Effect": "Allow", "Action": ["moorage:*", "ecr:*"], "Resource": "*"}
    arn = iam.create_policy(PolicyName="edge", PolicyDocument=document(allowed))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="author", PermissionsBoundary=arn)
    own = {"own": {"Version": "2012-10-17", "Statement": [EVERYTHING]}}
    before = everything_of(server, account)
    for author, action in (
        ({"inline": own}, "iam:DeleteUserPermissionsBoundary"),
        ({"inline": own, "boundary": ADMINISTRATOR}, "iam:PutUserPermissionsBoundary"),
    ):
        answer = apply(server, key, json.dumps({"accounts": {account: {"users": {"author": author}}}}))
        refused(answer, action, "users/author, boundary: ")
        assert "permissions boundary" in answer.message
        assert everything_of(server, account) == before


def test_everything_but_iam_obtains_no_administrator(server: ServerProcess, account: str) -> None:
    key = user(server, account, "author", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    before = everything_of(server, account)
    answer = apply(
        server, key, json.dumps({"accounts": {account: {"users": {"eve": {"attached": [ADMINISTRATOR]}}}}}), keys=True
    )
    refused(answer, "iam:CreateUser", "users/eve: ")
    assert everything_of(server, account) == before


def test_a_file_that_widens_its_authors_rights_does_not_use_them(server: ServerProcess, account: str) -> None:
    """All of it is decided on what is in force before anything of it is done."""
    key = user(
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


def test_sessions_that_iam_refuses_apply_nothing_of_it(server: ServerProcess, account: str) -> None:
    """Those of GetSessionToken without MFA, and federated users: whatever their policies say."""
    key = user(server, account, "author", EVERYTHING)
    sts = server.client("sts", key.id, key.secret)
    for made in (
        sts.get_session_token(),
        sts.get_federation_token(Name="eve", Policy=document(EVERYTHING)),
    ):
        session = keys_of(made)
        text = json.dumps({"accounts": {account: {"users": {"eve": {}}}}})
        before = everything_of(server, account)
        answer = apply(server, session, text)
        assert answer.status == 400
        assert "users/eve: IAM takes no calls of" in answer.message
        assert everything_of(server, account) == before
        text = json.dumps({"accounts": {account: {"repositories": {"us-east-1": {"new": {}}}}}})
        assert apply(server, session, text).status == 200
        server.client("ecr", account).delete_repository(repositoryName="new")


@pytest.fixture(scope="module")
def changing(server: ServerProcess) -> str:
    """An account in which the file of `files.after` takes every kind of step."""
    account = "770000000001"
    made = apply(server, Keys(account, "test"), json.dumps({"accounts": {account: files.before(account)}}))
    assert made.json["failed"] is None, made
    iam = server.client("iam", account)
    iam.create_policy_version(
        PolicyArn=f"arn:aws:iam::{account}:policy/spare", PolicyDocument=json.dumps(files.PUSH), SetAsDefault=True
    )
    iam.create_access_key(UserName="gone")
    return account


def guarded(server: ServerProcess, account: str, statement: Any) -> None:
    """Put an SCP of one statement on the account, beside FullAWSAccess if it denies."""
    names = ["Guard"] if statement["Effect"] == "Allow" else ["FullAWSAccess", "Guard"]
    organization = {
        "id": "o-moorage000",
        "managementAccount": MANAGEMENT,
        "serviceControlPolicies": {"Guard": {"Version": "2012-10-17", "Statement": [statement]}},
        "root": {
            "id": "r-ab12",
            "accounts": [{"id": MANAGEMENT}, {"id": account, "serviceControlPolicies": names}],
        },
    }
    put = call(server, Keys(MANAGEMENT, "test"), "organization/put", {"document": json.dumps(organization)})
    assert put.status == 200, put


def test_every_kind_of_step_needs_its_own_action(server: ServerProcess, changing: str) -> None:
    """With moorage:Apply and everything but one action nothing is done, and the refusal names what needs it."""
    root, asked = Keys(changing, "test"), {"prune": True, "keys": True}
    text = json.dumps({"accounts": {changing: files.after(changing)}})
    try:
        guarded(server, changing, {"Effect": "Allow", "Action": ["moorage:*"], "Resource": "*"})
        listed = apply(server, root, text, dry_run=True, **asked).json["refused"]
        needed = {each["action"]: each for each in reversed(listed)}
        assert needed.keys() == ACTIONS - {
            "moorage:DeleteOrganization", "moorage:PutOrganization", "organizations:CreateAccount"
        }  # fmt: skip
        guarded(server, changing, {"Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"})
        before = everything_of(server, changing)
        for action, one in needed.items():
            guarded(server, changing, {"Effect": "Deny", "Action": action, "Resource": "*"})
            change = f"{one['section']}/{one['name']}" + (f", {one['aspect']}" if one["aspect"] else "")
            refused(apply(server, root, text, **asked), action, f"{change}: ")
            guarded(server, changing, {"Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"})
            assert everything_of(server, changing) == before, action
        done = apply(server, root, text, **asked)
        assert (done.status, done.json["failed"]) == (200, None), done
        assert {each["user"] for each in done.json["keys"]} == {"ann", "bob", "eve"}
    finally:
        assert call(server, Keys(MANAGEMENT, "test"), "organization/delete", {}).status == 200


def test_the_organization_needs_its_own_actions(server: ServerProcess) -> None:
    key = user(server, MANAGEMENT, "author", EVERYTHING)
    organization = {
        "id": "o-moorage000",
        "managementAccount": MANAGEMENT,
        "root": {"id": "r-ab12", "accounts": [{"id": MANAGEMENT}]},
    }
    text = json.dumps({"organization": organization})

    def without(action: str) -> None:
        grant(server, MANAGEMENT, "author", EVERYTHING, {"Effect": "Deny", "Action": action, "Resource": "*"})

    without("moorage:PutOrganization")
    refused(apply(server, key, text), "moorage:PutOrganization", "organization/o-moorage000: ")
    without("moorage:GetOrganization")
    answer = apply(server, key, text, dry_run=True)
    assert "not authorized to perform: moorage:GetOrganization" in answer.message
    without("moorage:DeleteOrganization")
    assert apply(server, key, text).json["failed"] is None
    ended = json.dumps({"organization": {}})
    refused(apply(server, key, ended, prune=True), "moorage:DeleteOrganization", "organization/o-moorage000: ")
    without("moorage:PutOrganization")
    assert apply(server, key, ended, prune=True).json["failed"] is None


def test_the_permission_is_asked_before_the_file_is_read(server: ServerProcess, account: str) -> None:
    """Nor is another account's part told from the author's own."""
    key = user(server, account, "author", {"Effect": "Deny", "Action": "moorage:Apply", "Resource": "*"})
    for text in ("no: [file", "accounts: {'999999999999': {}}", "accounts: {}", "a: \n" * 200_000):
        answer = apply(server, key, text)
        assert "is not authorized to perform: moorage:Apply on resource" in answer.message


def test_what_a_new_entity_is_created_with_counts_for_what_it_is_given(server: ServerProcess, account: str) -> None:
    """A delegated administrator may create users within a boundary, and give them what they like."""
    iam = server.client("iam", account)
    edge = iam.create_policy(PolicyName="edge", PolicyDocument=document(EVERYTHING))["Policy"]["Arn"]
    key = user(
        server, account, "author",
        {"Effect": "Allow", "Action": "moorage:Apply", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["iam:CreateUser", "iam:AttachUserPolicy"],
            "Resource": f"arn:aws:iam::{account}:user/team/*",
            "Condition": {"StringEquals": {"iam:PermissionsBoundary": edge, "aws:RequestTag/team": "a"}},
        },
        {
            "Effect": "Allow",
            "Action": "iam:AttachUserPolicy",
            "Resource": f"arn:aws:iam::{account}:user/team/*",
            "Condition": {
                "StringEquals": {"iam:PermissionsBoundary": edge, "aws:ResourceTag/team": "a"},
                "ArnNotEquals": {"iam:PolicyARN": f"arn:aws:iam::{account}:policy/edge"},
            },
        },
    )  # fmt: skip

    def of(**user: Any) -> str:
        return json.dumps(
            {"accounts": {account: {"users": {"eve": {"path": "/team/", "tags": {"team": "a"}, **user}}}}}
        )

    refused(apply(server, key, of()), "iam:CreateUser", "users/eve: ")
    refused(apply(server, key, of(boundary="edge", path="/")), "iam:CreateUser", "users/eve: ")
    refused(apply(server, key, of(boundary="edge", tags={"team": "b"})), "iam:CreateUser", "users/eve: ")
    refused(
        apply(server, key, of(boundary="edge", attached=["edge"])),
        "iam:AttachUserPolicy",
        f"users/eve, attached/{edge}",
    )
    done = apply(server, key, of(boundary="edge", attached=[ADMINISTRATOR]))
    assert (done.status, done.json["failed"]) == (200, None), done


def test_policies_of_repositories_and_registries(server: ServerProcess, account: str) -> None:
    ecr, key = server.client("ecr", account), user(server, account, "author", EVERYTHING)
    tags = {"team": "a"}
    ecr.create_repository(repositoryName="app", tags=[{"Key": "team", "Value": "a"}])
    author = {"AWS": f"arn:aws:iam::{account}:user/author"}
    denied = {"Effect": "Deny", "Principal": author, "Action": "ecr:PutImageTagMutability"}
    ecr.set_repository_policy(repositoryName="app", policyText=document(denied))
    policy = {"Version": "2012-10-17", "Statement": [denied]}

    def of(**repositories: Any) -> str:
        kept = {"app": {"tags": tags, "policy": policy}}
        return json.dumps({"accounts": {account: {"repositories": {"us-east-1": kept | repositories}}}})

    answer = apply(server, key, of(app={"tags": tags, "policy": policy, "mutability": "IMMUTABLE"}))
    refused(answer, "ecr:PutImageTagMutability", "repositories/us-east-1/app, mutability: ")
    assert "with an explicit deny in a resource-based policy" in answer.message
    denied = {"Effect": "Deny", "Principal": author, "Action": "ecr:CreateRepository", "Resource": "*"}
    ecr.put_registry_policy(policyText=document(denied))
    answer = apply(server, key, of(new={}))
    refused(answer, "ecr:CreateRepository", "repositories/us-east-1/new: ")
    assert "with an explicit deny in a resource-based policy" in answer.message
    grant(
        server, account, "author", EVERYTHING,
        {"Effect": "Deny", "Action": "ecr:UntagResource", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}}},
    )  # fmt: skip
    refused(apply(server, key, of(app={"policy": policy})), "ecr:UntagResource", "repositories/us-east-1/app, tags: ")


def test_session_policies_and_regions(server: ServerProcess, account: str) -> None:
    iam = server.client("iam", account)
    key = user(server, account, "author", EVERYTHING)
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="admin", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="admin", PolicyArn=ADMINISTRATOR)
    here = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    made = server.client("sts", key.id, key.secret).assume_role(
        RoleArn=role, RoleSessionName="here",
        Policy=document(
            {"Effect": "Allow", "Action": "moorage:*", "Resource": "*"},
            {"Effect": "Allow", "Action": "ecr:CreateRepository", "Resource": "*", "Condition": here},
        ),
    )  # fmt: skip
    session = keys_of(made)
    answer = apply(server, session, json.dumps({"accounts": {account: {"users": {"eve": {}}}}}))
    refused(answer, "iam:CreateUser", "users/eve: ")
    assert "because no session policy allows" in answer.message

    def of(*regions: str) -> str:
        return json.dumps({"accounts": {account: {"repositories": {region: {"new": {}} for region in regions}}}})

    answer = apply(server, session, of("us-east-1", "eu-west-1"))
    refused(answer, "ecr:CreateRepository", "repositories/eu-west-1/new: ")
    assert server.client("ecr", account).describe_repositories()["repositories"] == []
    assert apply(server, session, of("us-east-1")).json["failed"] is None


def test_a_dry_run_lists_all_that_would_be_refused(server: ServerProcess, account: str) -> None:
    key = user(server, account, "author", {"Effect": "Allow", "Action": "moorage:Apply", "Resource": "*"})
    users: dict[str, Any] = {f"user-{number:03d}": {} for number in range(120)}
    answer = apply(server, key, json.dumps({"accounts": {account: {"users": users}}}), dry_run=True)
    assert (answer.status, len(answer.json["changes"])) == (200, 120)
    listed = answer.json["refused"]
    assert len(listed) == 100, "and no more"
    assert {each["action"] for each in listed} == {"iam:CreateUser"}
    assert (listed[7]["section"], listed[7]["name"], listed[7]["code"]) == (
        "users", "user-007", "AccessDeniedException"
    )  # fmt: skip
