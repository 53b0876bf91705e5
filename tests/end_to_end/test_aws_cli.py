"""The AWS CLI, as a person types it after `eval "$(moorage env)"`."""

import json
import os
import shlex
import subprocess
from pathlib import Path

from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess


def environment(server: ServerProcess, tmp_path: Path) -> dict[str, str]:
    said = run_moorage("env", "--port", str(server.port)).stdout
    values = dict(shlex.split(line)[1].split("=", 1) for line in said.splitlines() if line.startswith("export "))
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": "", **values}


def aws(env: dict[str, str], *arguments: str) -> str:
    program = str(Path(MOORAGE).with_name("aws"))
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_repository_and_its_policy(server: ServerProcess, tmp_path: Path) -> None:
    env = environment(server, tmp_path)
    made = json.loads(aws(env, "ecr", "create-repository", "--repository-name", "cli/app"))
    assert made["repository"]["repositoryName"] == "cli/app"
    statement = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "ecr:BatchGetImage"}
    (tmp_path / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    policy = f"file://{tmp_path}/policy.json"
    aws(env, "ecr", "set-repository-policy", "--repository-name", "cli/app", "--policy-text", policy)
    shown = json.loads(aws(env, "ecr", "get-repository-policy", "--repository-name", "cli/app"))
    assert "arn:aws:iam::111122223333:root" in shown["policyText"]
    assert aws(env, "ecr", "get-login-password").strip()
    assert json.loads(aws(env, "sts", "get-caller-identity"))["Account"] == "000000000000"


def test_a_role_and_what_it_may(server: ServerProcess, tmp_path: Path) -> None:
    env = environment(server, tmp_path)
    statement = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}
    (tmp_path / "trust.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    trust = f"file://{tmp_path}/trust.json"
    made = json.loads(aws(env, "iam", "create-role", "--role-name", "cli-role", "--assume-role-policy-document", trust))
    arn = made["Role"]["Arn"]
    assert made["Role"]["AssumeRolePolicyDocument"]["Statement"] == [statement]
    pull_only = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    aws(env, "iam", "attach-role-policy", "--role-name", "cli-role", "--policy-arn", pull_only)
    actions = ("--action-names", "ecr:BatchGetImage", "ecr:PutImage")
    said = json.loads(aws(env, "iam", "simulate-principal-policy", "--policy-source-arn", arn, *actions))
    assert [each["EvalDecision"] for each in said["EvaluationResults"]] == ["allowed", "implicitDeny"]
    aws(env, "iam", "detach-role-policy", "--role-name", "cli-role", "--policy-arn", pull_only)
    aws(env, "iam", "delete-role", "--role-name", "cli-role")
