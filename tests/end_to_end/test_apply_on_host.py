"""`moorage apply --on-host`: a whole file by whoever runs the machine; servers that run notice on the next request."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.workspace import Workspace
from tests.support.command_line import run_moorage
from tests.support.server_process import Error, ServerProcess

FIRST, SECOND = "111122223333", "444455556666"
ROUNDS = 8
FILE = f"""\
version: 1
accounts:
  "{FIRST}":
    repositories:
      us-east-1:
        shared:
          policy:
            Statement:
              - {{Effect: Allow, Principal: {{AWS: "arn:aws:iam::{SECOND}:role/far"}}, Action: "ecr:ListImages"}}
              - {{Effect: Allow, Principal: {{AWS: "arn:aws:iam::{SECOND}:user/bob"}}, Action: "ecr:ListImages"}}
    roles:
      near:
        trust: {{Version: "2012-10-17", Statement: [
          {{Effect: Allow, Principal: {{AWS: "arn:aws:iam::{SECOND}:role/far"}}, Action: "sts:AssumeRole"}}]}}
  "{SECOND}":
    users:
      bob:
        inline: {{own: {{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: "ecr:*", Resource: "*"}}]}}}}
    roles:
      far:
        trust: {{Version: "2012-10-17", Statement: [
          {{Effect: Allow, Principal: {{AWS: "arn:aws:iam::{SECOND}:user/bob"}}, Action: "sts:AssumeRole"}}]}}
organization:
  id: o-moorage000
  managementAccount: "{FIRST}"
  serviceControlPolicies:
    Fixed: {{Version: "2012-10-17", Statement: [{{Effect: Deny, Action: "ecr:SetRepositoryPolicy", Resource: "*"}}]}}
  root:
    id: r-ab12
    serviceControlPolicies: [FullAWSAccess, Fixed]
    accounts: [{{id: "{FIRST}"}}, {{id: "{SECOND}"}}]
"""


@pytest.fixture(scope="module")
def server(database_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two workers that serve what `moorage init` made: the first account."""
    data = tmp_path_factory.mktemp("on-host") / "data"
    run_moorage("init", "--account", FIRST, "--data", str(data), *database_options)
    running = ServerProcess(data, "--workers", "2", *database_options, command="serve").start()
    yield running
    running.stop()


@pytest.fixture
def workspace(server: ServerProcess, tmp_path: Path) -> Workspace:
    return Workspace(server, tmp_path, SECOND)


@pytest.fixture
def host(server: ServerProcess, database_options: list[str]) -> list[str]:
    """The options that lead to the registry."""
    return ["--on-host", "--data", str(server.data), *database_options]


def test_a_file_of_several_accounts(server: ServerProcess, workspace: Workspace, host: list[str]) -> None:
    workspace.put(FILE)
    planned = workspace("apply", "file.yaml", "--dry-run", *host)
    assert f"+ accounts/{SECOND}\n" in planned
    assert f"+ {SECOND}/users/bob\n" in planned
    assert "6 would change" in planned
    said = workspace("apply", "file.yaml", "--keys-to", "keys.json", *host)
    assert "6 changed" in said
    assert f"The key of the root of {SECOND} is in the data directory" in said
    assert workspace("apply", "file.yaml", "--keys", *host) == "nothing to change\n"

    keys = json.loads((workspace.directory / "keys.json").read_text())
    assert [(each["account"], each["user"]) for each in keys] == [(SECOND, None), (SECOND, "bob")]
    root, bob = ((each["accessKeyId"], each["secretAccessKey"]) for each in keys)
    assert server.client("sts", *root).get_caller_identity()["Arn"] == f"arn:aws:iam::{SECOND}:root"
    assert root[0] in (server.data / "credentials").read_text()
    ecr = server.client("ecr", *bob)
    for _ in range(ROUNDS):
        assert ecr.list_images(registryId=FIRST, repositoryName="shared")["imageIds"] == []

    workspace.put(FILE.replace('"ecr:ListImages"}', '"ecr:BatchGetImage"}'))
    assert "1 changed" in workspace("apply", "file.yaml", *host)  # no guard rail binds whoever runs the machine
    for _ in range(ROUNDS):
        with pytest.raises(Error, match="not authorized"):
            ecr.list_images(registryId=FIRST, repositoryName="shared")

    whole = workspace("export", *host)
    assert "o-moorage000" in whole
    (workspace.directory / "again.yaml").write_text(whole)
    assert workspace("apply", "again.yaml", "--prune", *host) == "nothing to change\n"
    one = workspace("export", "--account", SECOND, *host)
    assert FIRST not in one.replace(f":{FIRST}:", "")
    assert "organization" not in one
    (workspace.directory / "again.yaml").write_text(one)
    assert workspace("apply", "again.yaml", "--prune", *host) == "nothing to change\n"


def test_what_is_done_on_the_host_is_in_the_record_of_each_account(workspace: Workspace, host: list[str]) -> None:
    account = workspace.account = "777700000004"
    workspace.write("    users: {ann: {}}\n")
    workspace("apply", "file.yaml", "--dry-run", *host)
    workspace("apply", "file.yaml", "--keys-to", "keys.json", *host)
    shut = "{Statement: [{Effect: Deny, Principal: '*', Action: '*'}]}"
    workspace.write(f"    repositories: {{us-east-1: {{shut: {{policy: {shut}}}}}}}\n")
    workspace("apply", "file.yaml", *host, status=1)

    root = json.loads((workspace.directory / "keys.json").read_text())[0]
    workspace.key = (root["accessKeyId"], root["secretAccessKey"])
    told = [
        json.loads(line) for line in workspace("audit", "--json", "--since", "1h", "--action", "Apply").splitlines()
    ]
    assert [each.get("errorCode") for each in told] == [None, "InvalidParameterException"]
    for each in told:
        assert each["userIdentity"]["arn"] == f"arn:aws:iam::{account}:root"
        assert each["additionalEventData"] == {"onHost": True}
        assert each["readOnly"] is False
    assert "users: {ann: {}}" in told[0]["requestParameters"]["text"]


def test_only_one_of_its_accounts(workspace: Workspace, host: list[str]) -> None:
    workspace.put(json.dumps({"accounts": {"777700000001": {}, "777700000002": {}}}))
    assert "1 changed" in workspace("apply", "file.yaml", "--account", "777700000002", *host)
    assert "+ accounts/777700000001" in workspace("apply", "file.yaml", "--dry-run", *host)
    assert "says nothing of account" in workspace("apply", "file.yaml", "--account", "000000000009", *host, status=1)


def test_a_refusal_leaves_no_account_and_no_key(server: ServerProcess, workspace: Workspace, host: list[str]) -> None:
    workspace.account = "777700000003"
    workspace.write("    users: {ann: {attached: [nowhere]}, bob: {}}\n")
    said = workspace("apply", "file.yaml", "--keys", *host, status=1)
    assert "+ accounts/777700000003" in said
    assert "failed: NoSuchEntity" in said
    assert "Nothing was changed" in said
    assert "AKIA" not in said
    assert "777700000003" not in workspace("export", *host)
    assert "777700000003" not in (server.data / "credentials").read_text()
    workspace.write(
        "    repositories: {us-east-1: {shut: {policy: {Statement: [{Effect: Deny, Principal: '*', Action: '*'}]}}}}\n"
    )
    assert "prevent future policy changes" in workspace("apply", "file.yaml", *host, status=1)
    assert "shut" not in workspace("export", "--account", "777700000003", *host)


def test_what_is_no_registry_is_left_alone(workspace: Workspace) -> None:
    workspace.write("    users: {}\n")
    nowhere = workspace.directory / "nowhere"
    assert "there is no registry" in workspace("apply", "file.yaml", "--on-host", "--data", str(nowhere), status=1)
    assert not nowhere.exists()
    assert "--on-host" in workspace("export", "--account", FIRST, status=2)
