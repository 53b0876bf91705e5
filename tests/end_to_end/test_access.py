"""`moorage access` against a running server: matrices, comparisons, who may ask."""

import json
import os
from pathlib import Path
from typing import Any

from tests.end_to_end.test_why import Key, user
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

OWNER, OTHER = "888800000011", "888800000012"


def reach(key: Key, *arguments: str, check: bool = True) -> Any:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": key.server.url,
        "AWS_ACCESS_KEY_ID": key.name,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": "us-east-1",
        "COLUMNS": "160",
    }
    return run_moorage("access", *arguments, env=environment, check=check)


def answers(said: str) -> dict[str, list[str]]:
    return {
        row["who"]: [row["cells"][name]["answer"] for name in ("pull", "push", "delete", "administer")]
        for row in json.loads(said)["rows"]
    }


def test_who_can_reach_a_repository_and_what_a_change_would_open(server: ServerProcess, tmp_path: Path) -> None:
    ecr = server.client("ecr", OWNER)
    ecr.create_repository(repositoryName="reach/app")
    ann = f"arn:aws:iam::{OWNER}:user/reach-ann"
    idle = f"arn:aws:iam::{OWNER}:user/reach-idle"
    user(server, OWNER, "reach-ann", "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    user(server, OWNER, "reach-idle")
    owner = Key(server, OWNER)
    grant = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [grant]}
    ecr.set_repository_policy(repositoryName="reach/app", policyText=json.dumps(policy))
    found = answers(reach(owner, "reach/app", "--json").stdout)
    assert found[ann] == ["yes", "no", "no", "no"]
    assert found[idle] == ["no"] * 4
    assert found[f"arn:aws:iam::{OWNER}:root"] == ["yes"] * 4
    assert found[f"account {OTHER} (those it allows)"] == ["depends", "no", "no", "no"]
    assert found["any other account"] == found["anonymous"] == ["no"] * 4
    shown = reach(owner, "reach/app").stdout
    assert "if IpAddress aws:SourceIp 192.0.2.0/24" in shown
    fixed = answers(reach(owner, "reach/app", "--json", "--given", "aws:SourceIp=192.0.2.9").stdout)
    assert fixed[f"account {OTHER} (those it allows)"][0] == "yes"

    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps({**policy, "Statement": [{**grant, "Principal": "*", "Condition": {}}]}))
    change = ("reach/app", "--policy", str(wider), "--diff", "in-force", "--fail-on-widening")
    said = reach(owner, *change, check=False)
    assert said.returncode == 1
    assert "may do more than before" in said.stdout
    assert f"account {OTHER} (those it allows): depends → yes" in said.stdout
    assert "any other account: no → yes" in said.stdout
    assert "anonymous: " not in said.stdout  # nobody gets in without credentials
    assert "1  anonymous callers are refused, because the setting anonymous_pull is off" in said.stdout
    same = reach(owner, "reach/app", "--diff", "in-force", "--fail-on-widening")
    assert "Nobody may do more than before" in same.stdout

    ecr.set_repository_policy(repositoryName="reach/app", policyText=wider.read_text())
    assert reach(owner, "reach/app", "--diff", "1d", "--fail-on-widening", check=False).returncode == 1
    ecr.create_repository(repositoryName="reach/closed")
    assert reach(owner, "reach/app", "--diff", "reach/closed", "--fail-on-widening", check=False).returncode == 1
    assert reach(owner, "reach/closed", "--diff", "reach/app", "--fail-on-widening").returncode == 0
    assert "had no policy with the hash" in reach(owner, "reach/app", "--diff", "abcdef", check=False).stderr

    page = tmp_path / "page.html"
    reach(owner, "reach/app", "--diff", "reach/closed", "--html", str(page))
    text = page.read_text()
    assert "May do more than before" in text
    assert "http" not in text.replace("http-equiv", "")

    mine = json.loads(reach(owner, "--principal", ann, "--json").stdout)["rows"]
    assert {row["repository"].partition("/")[2]: row["cells"]["pull"]["answer"] for row in mine} == {
        "reach/app": "yes",
        "reach/closed": "yes",
    }
    assert reach(owner, "--principal", f"arn:aws:iam::{OWNER}:user/nobody", check=False).returncode == 1


def test_who_may_ask(server: ServerProcess) -> None:
    server.client("ecr", OWNER).create_repository(repositoryName="reach/mine")
    asker = user(server, OWNER, "reach-asker", "ecr:*")
    refused = reach(asker, "reach/mine", check=False)
    assert refused.returncode == 1
    assert "moorage:ReadAccess" in refused.stderr
    assert reach(asker, "--principal", f"arn:aws:iam::{OWNER}:user/reach-asker", check=False).returncode == 1
    assert reach(Key(server, OWNER), "reach/none", check=False).returncode == 1
