"""`moorage login`: what it does to each tool's files, and what it tells when it cannot."""

import base64
import json
import re
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.login.docker_config import DockerConfig
from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess, free_port, run

FAKE = """#!/bin/sh
echo "$0 $@" >> "$RECORD/arguments"
cat >> "$RECORD/stdin"
echo "$FAKE_SAYS" >&2
exit ${FAKE_STATUS:-0}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("login") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and programs of the tools' names that record how they are called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "record").mkdir()
    for name in ("docker", "podman", "helm"):
        (programs / name).write_text(FAKE)
        (programs / name).chmod(0o755)
    (programs / "docker-credential-moorage").symlink_to(Path(MOORAGE).with_name("docker-credential-moorage"))
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": f"{programs}:/bin", "RECORD": str(tmp_path / "record"), "COLUMNS": "200"}


def login(environment: dict[str, str], *arguments: str, status: int = 0) -> str:
    done = run_moorage("login", *arguments, env=environment, cwd=environment["HOME"], check=False)
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert "Traceback" not in said
    return said


def accepts(server: ServerProcess, user: str, password: str) -> bool:
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(f"{server.url}/v2/", headers={"Authorization": f"Basic {basic}"})
    try:
        with urllib.request.urlopen(request) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def test_a_password_goes_to_stdin_never_to_a_command_line(
    environment: dict[str, str], server: ServerProcess, tmp_path: Path
) -> None:
    said = login(environment, server.registry)
    arguments = (tmp_path / "record" / "arguments").read_text()
    assert f"docker login --username AWS --password-stdin {server.registry}" in arguments
    assert f"podman login --username AWS --password-stdin --tls-verify=false {server.registry}" in arguments
    assert f"helm registry login {server.registry} --username AWS --password-stdin --plain-http" in arguments
    given = (tmp_path / "record" / "stdin").read_text()
    password = given[: len(given) // 3]
    assert given == password * 3
    assert accepts(server, "AWS", password)
    assert password not in arguments
    assert password not in said
    assert "arn:aws:iam::000000000000:root" in said
    assert re.search(r"Good until \d{4}-\d\d-\d\d \d\d:\d\d \(12 hours\)", said)
    assert f"docker push {server.registry}/team/app:v1" in said
    assert f"login --helper {server.registry}" in said


def test_both_names_of_this_machine_when_none_is_given(environment: dict[str, str], server: ServerProcess) -> None:
    said = login(environment, "--port", str(server.port), "--tool", "docker")
    assert f"logged in to localhost:{server.port} and 127.0.0.1:{server.port}" in said


def test_a_port_that_is_named_goes_before_the_environment(environment: dict[str, str], server: ServerProcess) -> None:
    environment["AWS_ENDPOINT_URL"] = "http://localhost:1"
    assert f"localhost:{server.port}" in login(environment, "--port", str(server.port), "--tool", "docker")


def test_without_docker_its_file_is_written(environment: dict[str, str], server: ServerProcess) -> None:
    environment["PATH"] = "/nowhere"
    login(environment, server.registry, "--tool", "docker")
    file = Path(environment["HOME"]) / ".docker" / "config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = DockerConfig(file).auth_of(server.registry)
    assert kept is not None
    assert accepts(server, *kept)


def test_an_engine_that_is_off_is_no_obstacle(environment: dict[str, str], server: ServerProcess) -> None:
    environment |= {"FAKE_STATUS": "1", "FAKE_SAYS": "Cannot connect to the Docker daemon at unix:///x. Is it running?"}
    assert "config.json" in login(environment, server.registry, "--tool", "docker")


def test_a_tool_that_fails_is_named_with_what_to_type(environment: dict[str, str], server: ServerProcess) -> None:
    environment |= {"FAKE_STATUS": "1", "FAKE_SAYS": "x509: certificate signed by unknown authority"}
    said = login(environment, server.registry, "--tool", "docker", "--tool", "helm", status=1)
    assert f"sudo install -D -m 644 CA.crt /etc/docker/certs.d/{server.registry}/ca.crt" in said
    assert f"moorage doctor {server.registry}" in said
    assert "Good until" not in said


def test_a_ca_that_is_named_is_laid_where_the_tools_look(environment: dict[str, str], tmp_path: Path) -> None:
    run_moorage("ca", "--out", str(tmp_path / "tls"), "localhost")
    tls = ("--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key"))
    server = ServerProcess(tmp_path / "data", *tls).start()
    host, ca = f"localhost:{server.port}", tmp_path / "tls" / "ca.crt"
    for name in ("docker", "helm"):  # the machine's own docker is left alone here
        (tmp_path / "bin" / name).unlink()
    environment["PATH"] = str(tmp_path / "bin")
    try:
        assert f"login --ca moorage-tls/ca.crt {host}" in login(environment, host, status=1)
        login(environment, host, "--ca", str(ca), "--helper")
        helper = str(Path(MOORAGE).with_name("docker-credential-moorage"))
        assert json.loads(run([helper, "get"], input=host, env=environment).stdout)["Username"] == "AWS"
    finally:
        server.stop()
    laid = Path(environment["HOME"]) / ".config" / "containers" / "certs.d" / host / "ca.crt"
    assert laid.read_bytes() == ca.read_bytes()


def test_containerd_sends_the_password_from_its_hosts_file(
    environment: dict[str, str], server: ServerProcess, tmp_path: Path
) -> None:
    login(environment, server.registry, "--tool", "containerd", "--containerd-hosts", str(tmp_path / "certs.d"))
    file = tmp_path / "certs.d" / server.registry / "hosts.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = re.search(r'authorization = \["Basic (.*)"\]', file.read_text())
    assert found is not None
    user, _, password = base64.b64decode(found[1]).decode().partition(":")
    assert accepts(server, user, password)


def test_the_helper_is_set_up_and_answers(environment: dict[str, str], server: ServerProcess, tmp_path: Path) -> None:
    home = Path(environment["HOME"])
    (home / ".docker").mkdir()
    before = {"auths": {server.registry: {"auth": "eDp5"}}, "credsStore": "desktop"}
    (home / ".docker" / "config.json").write_text(json.dumps(before))
    said = login(environment, "--helper", server.registry)
    assert "docker-credential-moorage" in said
    kept = json.loads((home / ".docker" / "config.json").read_text())
    assert kept == {"auths": {}, "credsStore": "desktop", "credHelpers": {server.registry: "moorage"}}
    helper = str(Path(MOORAGE).with_name("docker-credential-moorage"))
    given = json.loads(run([helper, "get"], input=server.registry, env=environment).stdout)
    assert accepts(server, given["Username"], given["Secret"])
    # podman's and helm's own files would be read before
    arguments = (tmp_path / "record" / "arguments").read_text()
    assert f"podman logout {server.registry}" in arguments
    assert f"helm registry logout {server.registry}" in arguments
    assert "by docker-credential-moorage" in login(environment, server.registry, "--tool", "docker")


def test_the_helper_warns_of_what_it_would_miss(environment: dict[str, str], server: ServerProcess) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="helped")
    key = iam.create_access_key(UserName="helped")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="helped", PolicyName="all", PolicyDocument=json.dumps(policy))
    environment |= {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "PATH": "/bin",
    }
    said = login(environment, "--helper", server.registry)
    assert "user/helped" in said
    assert f"login --helper --profile moorage {server.registry}" in said
    assert "sudo ln -sf" in said
    assert "/usr/local/bin/docker-credential-moorage" in said
    assert key["SecretAccessKey"] not in said
    file = Path(environment["HOME"]) / ".config" / "moorage" / "hosts.json"
    assert key["SecretAccessKey"] not in file.read_text()


def test_the_password_alone(environment: dict[str, str], server: ServerProcess) -> None:
    said = login(environment, "--print-password", server.registry)
    assert accepts(server, "AWS", said.strip())


def test_the_key_of_moorage_init(environment: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_moorage("init", "--data", str(data), "--account", "111122223333", "--region", "eu-west-1")
    server = ServerProcess(data, command="serve").start()
    try:
        said = login(environment, "--data", str(data), server.registry, "--tool", "helm")
        assert "arn:aws:iam::111122223333:root" in said
        refused = login(environment, server.registry, status=1)
        assert "UnrecognizedClientException" in refused
        assert "the open key test" in refused
        assert f"doctor {server.registry}" in refused
    finally:
        server.stop()


def test_a_minted_key_that_a_development_server_does_not_know(
    environment: dict[str, str], server: ServerProcess
) -> None:
    environment |= {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}
    said = login(environment, server.registry, status=1)
    assert f"login --account 000000000000 {server.registry}" in said
    assert "hidden-secret" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.invalid:1",), "doctor nowhere.invalid:1"),
        (("--tool", "cargo", "localhost:1"), "cargo is not one of docker"),
        (("--profile", "absent", "localhost:1"), "aws configure --profile absent"),
        (("123456789012.dkr.ecr.us-east-1.amazonaws.com",), "--endpoint-url"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    environment: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    status = 2 if "--tool" in arguments else 1
    assert said in login(environment, *arguments, status=status)


def test_nothing_is_installed(environment: dict[str, str], server: ServerProcess) -> None:
    environment["PATH"] = "/nowhere"
    assert "--print-password" in login(environment, server.registry, status=1)


def test_nobody_listens(environment: dict[str, str]) -> None:
    port = free_port()
    assert f"doctor localhost:{port}" in login(environment, "--port", str(port), status=1)
