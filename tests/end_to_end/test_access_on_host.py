"""`moorage access --on-host`: who can reach what across the accounts of a registry, for whoever runs its machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.admin_calls import user
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

FIRST, SECOND = "111122223333", "444455556666"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose server has stopped: two accounts, a repository that the first opens to the second."""
    running = ServerProcess(tmp_path_factory.mktemp("access-on-host") / "data").start()
    ecr = running.client("ecr", FIRST)
    ecr.create_repository(repositoryName="shared")
    running.client("ecr", SECOND, region="eu-west-1").create_repository(repositoryName="own")
    statement = {"Effect": "Allow", "Principal": {"AWS": SECOND}, "Action": PULL}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ecr.set_repository_policy(repositoryName="shared", policyText=text)
    sign_in = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    user(running, SECOND, "puller", sign_in, {"Effect": "Allow", "Action": PULL, "Resource": "*"})
    user(running, SECOND, "idle")
    running.stop()
    return running.data


def told(data: Path, *arguments: str) -> Any:
    done = run_moorage("access", *arguments, "--on-host", "--json", "--data", str(data))
    return {
        (each["who"], each["repository"]): each["cells"]["pull"]["answer"] for each in json.loads(done.stdout)["rows"]
    }


def test_users_of_other_accounts_are_told_as_their_own_policies_have_it(data: Path) -> None:
    found = {who: answer for (who, _), answer in told(data, "shared").items()}
    assert found[f"arn:aws:iam::{SECOND}:user/puller"] == "yes"
    assert found[f"arn:aws:iam::{SECOND}:user/idle"] == "no"
    assert found[f"arn:aws:iam::{SECOND}:root"] == "yes"


def test_a_principals_access_is_told_for_every_registry(data: Path) -> None:
    arn = f"arn:aws:iam::{SECOND}:user/puller"
    assert told(data, "--principal", arn) == {
        (arn, f"arn:aws:ecr:us-east-1:{FIRST}:repository/shared"): "yes",
        (arn, f"arn:aws:ecr:eu-west-1:{SECOND}:repository/own"): "yes",
    }
    assert len(told(data, "--principal", arn, "--account", SECOND)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no repository nothing here"),
        (["--principal", f"arn:aws:iam::{SECOND}:user/nobody"], "there is no user"),
        (["--policy", "x.json"], "goes with a repository"),
    ],
)
def test_what_is_not_there_is_said(data: Path, arguments: list[str], said: str) -> None:
    done = run_moorage("access", *arguments, "--on-host", "--data", str(data), check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
