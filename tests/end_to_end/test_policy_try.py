"""`moorage policy try` against a running server."""

import json
import os
from pathlib import Path
from typing import Any

from tests.end_to_end.test_why import Key, office, pull, user
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

OWNER, READER = "888800000001", "888800000002"


def attempt(key: Key, *arguments: str, check: bool = True, **more: Any) -> Any:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": key.server.url,
        "AWS_ACCESS_KEY_ID": key.name,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": "us-east-1",
    }
    return run_moorage("policy", "try", *arguments, env=environment, check=check, **more)


def written(path: Path, *statements: dict[str, Any]) -> str:
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return str(path)


def test_a_proposed_policy_is_tried_on_what_was_asked(server: ServerProcess, tmp_path: Path) -> None:
    office(server, "try/office")
    ann = user(server, READER, "try-ann", "ecr:BatchGetImage", "ecr:GetAuthorizationToken")
    owner = Key(server, OWNER)
    assert pull(server, ann, "try/office")[0] == 403
    grant = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": "ecr:BatchGetImage"}
    file = written(tmp_path / "open.json", grant)
    said = attempt(owner, "try/office", file).stdout
    arn = f"arn:aws:iam::{READER}:user/try-ann"
    assert "Nobody would lose access" in said
    assert "1 principal would gain access, 1 request" in said
    assert f"  {arn}\n    ecr:BatchGetImage  1×" in said
    decision = said.partition("moorage why ")[2].split()[0]
    assert "ecr:BatchGetImage" in owner.why(decision).stdout
    report = json.loads(attempt(owner, "try/office", file, "--json").stdout)
    assert [each["principal"] for each in report["gained"]] == [arn]
    assert attempt(owner, "try/office", file, "--fail-on-loss", check=False).returncode == 0
    assert attempt(owner, "try/office", file, "--fail-on-gain", check=False).returncode == 1

    ecr = server.client("ecr", OWNER)
    ecr.set_repository_policy(repositoryName="try/office", policyText=Path(file).read_text())
    assert pull(server, ann, "try/office")[0] == 200
    said = attempt(owner, "try/office", "--no-policy", "--fail-on-loss", check=False)
    assert said.returncode == 1
    assert "1 principal would lose access" in said.stdout
    deny = written(tmp_path / "deny.json", grant, {**grant, "Sid": "Never", "Effect": "Deny"})
    assert "explicit deny by statement 'Never'" in attempt(owner, "try/office", deny).stdout
    assert ecr.get_repository_policy(repositoryName="try/office")["policyText"].count("Never") == 0


def test_who_may_try_and_what_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    office(server, "try/refused")
    ann = user(server, OWNER, "try-may-not", "ecr:*")
    grant = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    file = written(tmp_path / "some.json", grant)
    refused = attempt(ann, "try/refused", file, check=False)
    assert refused.returncode == 1
    assert "is not authorized to perform: moorage:ReplayPolicy on resource" in refused.stderr
    owner = Key(server, OWNER)
    wrong = written(tmp_path / "wrong.json", {**grant, "Resource": "*"})
    refused = attempt(owner, "try/refused", wrong, check=False)
    assert refused.returncode == 1
    assert "not a repository policy: " in refused.stderr
    assert "/Statement/0" in refused.stderr
    missing = attempt(owner, "try/none", file, check=False)
    assert (missing.returncode, "does not exist in the registry" in missing.stderr) == (1, True)
    for arguments in (["try/refused"], ["try/refused", file, "--no-policy"], ["try/refused", "/no/such/file"]):
        assert attempt(owner, *arguments, check=False).returncode == 2

    def nothing_is_left() -> bool:
        said = attempt(owner, "try/refused", "-", "--last", "1s", input=Path(file).read_text()).stdout
        return "there is nothing to try the policy on" in said

    wait_until(nothing_is_left)  # once every recorded request is a second old
