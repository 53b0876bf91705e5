"""`moorage why`, as the denied caller, the owner of the repository and strangers see it."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.support.command_line import run_moorage
from tests.support.ecr_push import push_image
from tests.support.server_process import Error, ServerProcess

OWNER, READER = "888800000001", "888800000002"


class Key:
    """A key of the command line."""

    def __init__(self, server: ServerProcess, name: str, secret: str = "x") -> None:
        self.server, self.name, self.secret = server, name, secret

    def why(self, *arguments: str, check: bool = True) -> Any:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": self.name,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }
        return run_moorage("why", *arguments, env=environment, check=check)

    def told(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.why("--json", *arguments).stdout)
        return answer

    def client(self, service: str) -> Any:
        return self.server.client(service, self.name, self.secret)


def user(server: ServerProcess, account: str, name: str, *actions: str) -> Key:
    iam = server.client("iam", account)
    iam.create_user(UserName=name)
    if actions:
        statement = {"Sid": "Mine", "Effect": "Allow", "Action": actions, "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName=name, PolicyName="mine", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Key(server, key["AccessKeyId"], key["SecretAccessKey"])


def pull(server: ServerProcess, key: Key, repository: str, method: str = "GET") -> Any:
    token = key.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    request = urllib.request.Request(
        f"{server.url}/v2/{OWNER}/us-east-1/{repository}/manifests/v1",
        headers={"Authorization": f"Basic {token}"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def office(server: ServerProcess, repository: str) -> None:
    """A repository that the reader's account may pull from, from an office where nobody is."""
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName=repository)
    push_image(ecr, repository, "v1")
    statement = {
        "Sid": "OfficePull",
        "Effect": "Allow",
        "Principal": {"AWS": READER},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    ecr.set_repository_policy(repositoryName=repository, policyText=json.dumps(policy))


def test_from_a_denied_pull_to_the_policy_that_allows_it(server: ServerProcess) -> None:
    office(server, "why/office")
    ann = user(server, READER, "ann", "ecr:BatchGetImage", "ecr:GetAuthorizationToken")
    owner = Key(server, OWNER)
    status, body, headers = pull(server, ann, "why/office")
    message = json.loads(body)["errors"][0]["message"]
    decision = headers["x-moorage-decision-id"]
    assert status == 403
    assert message.endswith(f"(decision {decision})")
    assert headers["x-moorage-reason"].startswith("resource: no statement allows it")

    tree = owner.why(decision).stdout
    assert tree.splitlines()[0] == f"DENIED  ecr:BatchGetImage on why/office (account {OWNER}, us-east-1)"
    assert "nothing in the repository policy allows it" in tree
    assert "1. Allow 'OfficePull': aws:SourceIp = 127.0.0.1, policy wants 192.0.2.0/24" in tree
    assert (
        f"opens: everyone in account {READER} whose own policies allow it may then use ecr:BatchGetImage, "
        "ecr:GetDownloadUrlForLayer also when aws:SourceIp = 127.0.0.1/32" in tree
    )
    assert "1× ecr:BatchGetImage by" in tree
    assert f"moorage why {decision} --policy 1" in tree
    assert "mine" not in tree

    policy = owner.why(decision, "--policy", "1").stdout
    server.client("ecr", OWNER).set_repository_policy(repositoryName="why/office", policyText=policy)
    assert pull(server, ann, "why/office")[0] == 200
    assert "DENIED" in owner.why(decision).stdout  # what was, stays


def test_the_denied_caller_sees_its_own_side(server: ServerProcess) -> None:
    office(server, "why/sides")
    bob = user(server, READER, "bob", "ecr:BatchGetImage", "ecr:GetAuthorizationToken")
    pull(server, bob, "why/sides", "HEAD")
    tree = bob.why().stdout
    assert "1. Allow 'Mine': matches" in tree
    assert "OfficePull" not in tree
    assert "192.0.2.0" not in tree
    assert f"ask account {OWNER} to let arn:aws:iam::{READER}:user/bob use ecr:BatchGetImage" in tree
    assert bob.why().stdout == tree  # asking is no request that could be the last denial
    told = bob.told()
    assert {each["set"] for each in told["sets"] if each.get("hidden")} == {"resource", "rcp"}
    assert told["suggestions"] == []
    assert told["blockedBy"] == []


def test_who_may_read_the_repository_policy_sees_both_sides(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="why/both")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": READER}, "Action": "ecr:GetRepositoryPolicy"},
            {"Sid": "NoPush", "Effect": "Deny", "Principal": "*", "Action": ["ecr:PutImage", "ecr:*Layer*"]},
        ],
    }
    ecr.set_repository_policy(repositoryName="why/both", policyText=json.dumps(policy))
    eve = user(server, READER, "eve", "ecr:*")
    with pytest.raises(Error) as denied:
        eve.client("ecr").initiate_layer_upload(registryId=OWNER, repositoryName="why/both")
    tree = eve.why(denied.value.response["ResponseMetadata"]["RequestId"]).stdout
    assert "denied by the repository policy, statement 'NoPush'" in tree
    assert "✗ 2. Deny 'NoPush': matches" in tree
    assert "✓ 1. Allow 'Mine': matches" in tree
    told = eve.told()
    first = told["suggestions"][0]
    assert [each["kind"] for each in first["changes"]] == ["spare-principal", "add-statement"]
    assert told["blockedBy"] == ["resource"]


def test_the_statements_of_a_foreign_policy_are_not_named_in_a_header(server: ServerProcess) -> None:
    office(server, "why/header")
    deny = {"Sid": "WeKnowAboutYou", "Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage"}
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    server.client("ecr", OWNER).set_repository_policy(repositoryName="why/header", policyText=json.dumps(policy))
    hal = user(server, READER, "hal", "ecr:*")
    status, body, headers = pull(server, hal, "why/header", "HEAD")
    assert (status, body) == (403, b"")
    assert headers["x-moorage-reason"] == "resource: explicit deny"


def test_a_variable_without_a_value_is_shown_as_it_is_written(server: ServerProcess) -> None:
    office(server, "why/variable")
    statement = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": "ecr:BatchGetImage"}
    statement["Condition"] = {"StringEquals": {"aws:PrincipalAccount": "${ecr:ResourceTag/team}"}}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    server.client("ecr", OWNER).set_repository_policy(repositoryName="why/variable", policyText=json.dumps(policy))
    ian = user(server, READER, "ian", "ecr:*")
    decision = pull(server, ian, "why/variable")[2]["x-moorage-decision-id"]
    tree = Key(server, OWNER).why(decision).stdout
    assert "the policy wants ${ecr:ResourceTag/team}, which has no value in this request" in tree


def test_an_allowed_request_is_explained_by_its_request_id(server: ServerProcess) -> None:
    answer = server.client("ecr", OWNER).create_repository(repositoryName="why/allowed")
    tree = Key(server, OWNER).why(answer["ResponseMetadata"]["RequestId"]).stdout
    assert tree.startswith("ALLOWED  ecr:CreateRepository on why/allowed")
    assert "changes that would allow it" not in tree


def test_a_deleted_users_id_and_a_living_users_arn_are_shown(server: ServerProcess) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="why/named")
    carl = user(server, OWNER, "carl", "ecr:GetAuthorizationToken")
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWNER}:user/carl"}, "Action": "ecr:ListImages"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ecr.set_repository_policy(repositoryName="why/named", policyText=policy)
    with pytest.raises(Error) as denied:
        carl.client("ecr").describe_images(repositoryName="why/named")
    told = Key(server, OWNER).told(denied.value.response["ResponseMetadata"]["RequestId"])
    resource = next(each for each in told["sets"] if each["set"] == "resource")
    shown = resource["policies"][0]["statements"][0]["statement"]["Principal"]
    assert shown == {"AWS": f"arn:aws:iam::{OWNER}:user/carl"}
    assert "AIDA" not in json.dumps(told["suggestions"])


def test_without_an_id_it_says_whose_denials_it_looked_for(server: ServerProcess) -> None:
    quiet = user(server, READER, "quiet")
    refused = quiet.why(check=False)
    assert refused.returncode == 1
    assert f"No denied request of arn:aws:iam::{READER}:user/quiet is recorded." in refused.stderr


def test_strangers_are_told_nothing(server: ServerProcess) -> None:
    office(server, "why/strange")
    dan, fay = user(server, READER, "dan", "ecr:GetAuthorizationToken"), user(server, READER, "fay")
    *_, headers = pull(server, dan, "why/strange", "HEAD")
    decision = headers["x-moorage-decision-id"]
    for key in (fay, Key(server, "888800000003")):
        refused = key.why(decision, check=False)
        assert refused.returncode != 0
        assert "No such decision is recorded, or you may not see it." in refused.stderr
    auditor = user(server, READER, "auditor", "moorage:ReadAudit")
    assert "DENIED" in auditor.why(decision).stdout
    assert Key(server, OWNER).why("nonsense", check=False).returncode != 0
    assert Key(server, OWNER).why("../ready", check=False).returncode == 2


@pytest.mark.parametrize("arguments", [["--policy", "9"]])
def test_a_suggestion_that_is_not_there(server: ServerProcess, arguments: list[str]) -> None:
    gil = user(server, READER, "gil")
    with pytest.raises(Error):
        gil.client("ecr").describe_repositories()
    refused = gil.why(*arguments, check=False)
    assert refused.returncode == 2
    assert "suggestions" in refused.stderr
    assert json.loads(gil.why("--policy", "1").stdout)["Statement"]
