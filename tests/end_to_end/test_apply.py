"""`moorage apply` and `moorage export`: what a file says is made, made once, shown first, and told again."""

import json
import os
from pathlib import Path

import pytest

from tests.end_to_end.pushing import push_image
from tests.running import MOORAGE, RunningServer, run


class Home:
    """A directory with a file in it, and the account that it is about."""

    def __init__(self, server: RunningServer, directory: Path, account: str) -> None:
        self._server = server
        self.directory, self.account = directory, account
        self.key = (account, "test")

    def __call__(self, *arguments: str, status: int = 0) -> str:
        environment = os.environ | {"AWS_ENDPOINT_URL": self._server.url, "COLUMNS": "150"}
        environment |= {"AWS_ACCESS_KEY_ID": self.key[0], "AWS_SECRET_ACCESS_KEY": self.key[1]}
        done = run([MOORAGE, *arguments], check=False, env=environment, cwd=self.directory)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    def write(self, body: str) -> None:
        text = f'version: 1\naccounts:\n  "{self.account}":\n' + body.replace("ACCOUNT", self.account)
        (self.directory / "file.yaml").write_text(text)


EVERYTHING = """\
    policies:
      pulls:
        description: what nodes need
        tags: {team: base}
        document:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource: "*"}]
    groups:
      nodes:
        attached: [pulls, "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"]
        inline:
          own:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Action: "ecr:DescribeImages", Resource: "*"}]
    users:
      node-1:
        path: /nodes/
        groups: [nodes]
        boundary: pulls
        tags: {rack: "7"}
    roles:
      a-second:
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::ACCOUNT:role/first"}, Action: "sts:AssumeRole"}]
      first:
        trust:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: "arn:aws:iam::ACCOUNT:user/nodes/node-1"}
              Action: sts:AssumeRole
        max_session_seconds: 7200
        attached: [pulls]
    repositories:
      us-east-1:
        team/app:
          mutability: IMMUTABLE
          tags: {team: base}
          policy:
            Version: "2012-10-17"
            Statement:
              - Sid: Nodes
                Effect: Allow
                Principal: {AWS: "arn:aws:iam::ACCOUNT:user/nodes/node-1"}
                Action: ecr:BatchGetImage
      eu-west-1:
        team/far: {}
"""


@pytest.fixture
def home(server: RunningServer, tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    """Of an account of its own for each test."""
    number = sum(map(ord, request.node.name)) % 10**6
    return Home(server, tmp_path, f"78{number:010d}")


def test_a_file_is_shown_applied_once_and_exported(server: RunningServer, home: Home) -> None:
    home.write(EVERYTHING)
    planned = home("apply", "file.yaml", "--dry-run")
    assert "+ users/node-1" in planned
    assert "7 would change" in planned
    iam = server.client("iam", home.account)
    assert iam.list_users()["Users"] == []
    assert "7 changed" in home("apply", "file.yaml")
    assert home("apply", "file.yaml") == "nothing to change\n"
    assert home("apply", "file.yaml", "--prune", "--yes") == "nothing to change\n"
    user = iam.get_user(UserName="node-1")["User"]
    assert user["Arn"] == f"arn:aws:iam::{home.account}:user/nodes/node-1"
    assert user["Tags"] == [{"Key": "rack", "Value": "7"}]
    ecr = server.client("ecr", home.account)
    assert "node-1" in ecr.get_repository_policy(repositoryName="team/app")["policyText"]
    exported = home("export")
    (home.directory / "again.yaml").write_text(exported)
    assert home("apply", "again.yaml", "--prune", "--yes") == "nothing to change\n"
    assert "team/far" in exported


def test_changes_are_shown_line_by_line_and_made(server: RunningServer, home: Home) -> None:
    home.write(EVERYTHING)
    home("apply", "file.yaml")
    changed = EVERYTHING.replace("ecr:DescribeImages", "ecr:ListImages").replace('rack: "7"', 'rack: "8"')
    changed = changed.replace("IMMUTABLE", "MUTABLE").replace("        groups: [nodes]\n", "")
    home.write(changed.replace("Sid: Nodes", "Sid: All"))
    shown = home("apply", "file.yaml")
    for line in (
        "~ groups/nodes", '"Action" : "ecr:DescribeImages"', "+ tags rack=8", "- tags rack=7", "- groups nodes",
        "+ mutability MUTABLE", '-    "Sid" : "Nodes",', '+    "Sid" : "All",',
    ):  # fmt: skip
        assert line in shown, shown
    assert home("apply", "file.yaml") == "nothing to change\n"
    iam = server.client("iam", home.account)
    assert iam.list_groups_for_user(UserName="node-1")["Groups"] == []


def test_what_is_not_named_goes_only_when_that_is_asked_for(server: RunningServer, home: Home) -> None:
    home.write(EVERYTHING)
    home("apply", "file.yaml", "--keys")
    push_image(server.client("ecr", home.account), "team/app", "v1")
    home.write("    users: {}\n")
    assert home("apply", "file.yaml") == "nothing to change\n"
    refused = home("apply", "file.yaml", "--prune", "--yes", status=1)
    assert "team/app" in refused
    assert "cannot be deleted because it still contains images" in refused
    server.client("ecr", home.account).delete_repository(repositoryName="team/app", force=True)
    home("apply", "file.yaml", "--prune", "--yes")
    iam = server.client("iam", home.account)
    assert (iam.list_users()["Users"], iam.list_roles()["Roles"], iam.list_policies(Scope="Local")["Policies"]) == (
        [],
        [],
        [],
    )


def test_a_role_may_trust_one_that_the_same_file_makes(server: RunningServer, home: Home) -> None:
    """Also where the account keeps roles already, and so knows which there are."""
    trust = {"Effect": "Allow", "Principal": {"AWS": home.account}, "Action": "sts:AssumeRole"}
    iam = server.client("iam", home.account)
    iam.create_role(
        RoleName="there", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    home.write(EVERYTHING)
    assert "7 changed" in home("apply", "file.yaml")


def test_the_first_refusal_ends_the_run_in_the_words_of_the_api(server: RunningServer, home: Home) -> None:
    home.write("    users:\n      ann: {attached: [nowhere]}\n      bob: {}\n")
    said = home("apply", "file.yaml", status=1)
    assert "NoSuchEntity" in said
    assert f"arn:aws:iam::{home.account}:policy/nowhere" in said
    assert [each["UserName"] for each in server.client("iam", home.account).list_users()["Users"]] == ["ann"]


def test_keys_are_made_on_request_and_written_once(home: Home) -> None:
    home.write("    users: {ann: {}, bob: {}}\n")
    home("apply", "file.yaml")
    assert home("apply", "file.yaml", "--keys-to", "keys.json") == "nothing to change\n"
    kept = home.directory / "keys.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().count("AKIA") == 2
    assert "AKIA" not in home("apply", "file.yaml", "--keys")
    assert "AKIA" not in home("export")


def test_a_mistake_says_where_and_changes_nothing(server: RunningServer, home: Home) -> None:
    home.write("    users:\n      ann:\n        boundry: x\n")
    assert "line 6, column 9" in home("apply", "file.yaml", status=1)
    home.write(EVERYTHING.replace("user/nodes/node-1", "user/nobody"))
    failed = home("apply", "file.yaml", status=1)
    assert "nobody" in failed
    assert "was not tried" in failed
    assert "+ users/node-1" in failed


def test_lint_warns(home: Home) -> None:
    home.write(
        "    repositories: {us-east-1: {open: {policy: {Version: '2012-10-17', Statement: "
        "[{Effect: Allow, Principal: '*', Action: 'ecr:*'}]}}}}\n"
    )
    assert "security_warning in policy" in home("apply", "file.yaml", "--dry-run")


def test_who_may(server: RunningServer, home: Home) -> None:
    iam = server.client("iam", home.account)
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    home.write("    users: {}\n")
    account = home.account
    home.key = (key["AccessKeyId"], key["SecretAccessKey"])
    assert "not authorized to perform: moorage:Apply" in home("apply", "file.yaml", "--dry-run", status=1)
    assert "not authorized to perform: moorage:Export" in home("export", status=1)
    home.account = "999999999999"
    home.write("    users: {}\n")
    home.key = (account, "test")
    assert "apply it with a key of its own" in home("apply", "file.yaml", status=1)
