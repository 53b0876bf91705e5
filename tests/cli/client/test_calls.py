"""Commands act as whom they were told to, say so when they change something, and never fall back to another key."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorage.cli import app
from moorage.login.errors import LoginError
from tests.identity.credentials.oidc_tokens import ISSUER, Signer, issuers_file
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

ACCOUNT = "111122223333"
COMMANDS = {
    "why": ("why",),
    "audit": ("audit",),
    "access": ("access", "team/app"),
    "policy try": ("policy", "try", "team/app", "--no-policy"),
    "policy generate": ("policy", "generate", "team/app"),
    "apply": ("apply", "file.yaml"),
    "export": ("export",),
    "token create": ("token", "create", "ci", "-r", "team/*", "--pull"),
    "token list": ("token", "list"),
    "token revoke": ("token", "revoke", "ci"),
    "organization show": ("organization", "show"),
    "organization history": ("organization", "history"),
    "organization set": ("organization", "set", "organization.json"),
    "organization remove": ("organization", "remove", "--yes"),
    "jobs list": ("jobs", "list"),
    "jobs show": ("jobs", "show", "1"),
    "jobs cancel": ("jobs", "cancel", "1"),
    "jobs retry": ("jobs", "retry", "1"),
    "restore": ("restore", "team/app"),
    "purge": ("purge", "team/app", "--yes"),
    "login": ("login", "localhost:1"),
}
"""Every command that signs requests."""
ORGANIZATION = {
    "id": "o-0123456789",
    "managementAccount": ACCOUNT,
    "serviceControlPolicies": {},
    "resourceControlPolicies": {},
    "root": {
        "id": "r-0123",
        "serviceControlPolicies": ["FullAWSAccess"],
        "accounts": [{"id": ACCOUNT}],
        "units": [],
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("whose") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing in it, and a directory where `moorage init` left a root's key."""
    data = tmp_path / "moorage-data"
    data.mkdir()
    key = "aws_access_key_id = 111122223333\naws_secret_access_key = any\n"
    (data / "credentials").write_text(f"[{ACCOUNT}]\n{key}[default]\n{key}")
    (data / "registry.json").write_text('{"account": "111122223333", "region": "us-east-1"}\n')
    (tmp_path / "file.yaml").write_text("{}\n")
    (tmp_path / "organization.json").write_text(json.dumps(ORGANIZATION))
    return {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}


def moorage(home: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = run_moorage(*arguments, env=home, cwd=home["HOME"], check=False)
    assert "Traceback" not in done.stderr
    return done


def profile(home: dict[str, str], text: str) -> None:
    directory = Path(home["HOME"]) / ".aws"
    directory.mkdir()
    (directory / "config").write_text(text)


def refusal(home: dict[str, str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Why a command ends before it asks the server; within this process, as there are many commands."""
    monkeypatch.chdir(home["HOME"])
    for name in (name for name in os.environ if name.startswith("AWS_")):
        monkeypatch.delenv(name)
    result = CliRunner().invoke(app, arguments, env=home)
    assert isinstance(result.exception, LoginError), (result.exception, result.output)
    return str(result.exception)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_half_a_key_is_an_error_in_every_command(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for given, missing in (
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ):
        said = refusal(home | {given: "AKIAIOSFODNN7EXAMPLE"}, monkeypatch, *command)
        assert said == f"Partial credentials found in env, missing: {missing}"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_profile_that_is_not_there_is_an_error_in_every_command(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    absent = "The config profile (nosuch) could not be found"
    assert refusal(home | {"AWS_PROFILE": "nosuch"}, monkeypatch, *command).startswith(absent)
    assert refusal(home, monkeypatch, *command, "--profile", "nosuch").startswith(absent)


@pytest.mark.parametrize(
    "name",
    [
        "apply",
        "token create",
        "token revoke",
        "organization set",
        "organization remove",
        "jobs cancel",
        "jobs retry",
        "restore",
        "purge",
    ],
)
def test_commands_that_change_something_say_as_whom(home: dict[str, str], server: ServerProcess, name: str) -> None:
    there = home | {"AWS_ENDPOINT_URL": server.url}
    said = moorage(there, *COMMANDS[name]).stderr
    assert said.startswith(f"acting as arn:aws:iam::{ACCOUNT}:root, key: moorage-data/credentials [default]\n")
    other = moorage(there | {"AWS_ACCESS_KEY_ID": "444455556666", "AWS_SECRET_ACCESS_KEY": "any"}, *COMMANDS[name])
    assert other.stderr.startswith("acting as arn:aws:iam::444455556666:root, key: the environment")


def test_a_profile_may_print_a_key_or_assume_a_role(home: dict[str, str], server: ServerProcess) -> None:
    iam = server.client("iam", ACCOUNT)
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="restorer", AssumeRolePolicyDocument=document)
    allow = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="restorer", PolicyName="login", PolicyDocument=document)
    output = {"Version": 1, "AccessKeyId": "444455556666", "SecretAccessKey": "any"}
    program = Path(home["HOME"]) / "print.py"
    program.write_text(f"print({json.dumps(output)!r})\n")
    profile(
        home,
        f"[profile prints]\ncredential_process = {sys.executable} {program}\nendpoint_url = {server.url}\n"
        "[profile root]\naws_access_key_id = 111122223333\naws_secret_access_key = any\n"
        f"[profile restorer]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/restorer\nsource_profile = root\n"
        f"role_session_name = ann\nendpoint_url = {server.url}\n",
    )
    assert "acting as arn:aws:iam::444455556666:root" in moorage(home, "restore", "x", "--profile", "prints").stderr
    said = moorage(home, "restore", "x", "--profile", "restorer").stderr
    assert f"acting as arn:aws:sts::{ACCOUNT}:assumed-role/restorer/ann, key: profile restorer" in said
    assert (
        f"assumed-role/restorer/ann at {server.url}"
        in moorage(home, "login", "--profile", "restorer", "--tool", "docker").stdout
    )


def test_a_pod_acts_as_its_web_identity(home: dict[str, str], tmp_path: Path) -> None:
    signer = Signer("one")
    environment = {"MOORAGE_OIDC_ISSUERS": str(issuers_file(tmp_path, signer))}
    server = ServerProcess(tmp_path / "data").start(environment=environment)
    try:
        name = ISSUER.removeprefix("https://")
        trust = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        server.client("iam", ACCOUNT).create_role(RoleName="pod", AssumeRolePolicyDocument=document)
        (tmp_path / "token").write_text(signer.token(time.time()))
        pod = {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pod",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ROLE_SESSION_NAME": "build",
        }
        assert f"acting as arn:aws:sts::{ACCOUNT}:assumed-role/pod/build" in moorage(home | pod, "restore", "x").stderr
    finally:
        server.stop()
