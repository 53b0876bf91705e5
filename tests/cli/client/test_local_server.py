"""What a server of this machine was told, every command here knows: name, scheme, port, CA, database."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.login.local import read_server
from tests.support.command_line import run_moorage
from tests.support.postgres import PostgresServer
from tests.support.server_process import MOORAGE, ServerProcess, run


def environment(data: Path, *arguments: str) -> dict[str, str]:
    """What `moorage env` prints there."""
    said = run_moorage("env", "--data", str(data), *arguments).stdout
    lines = (shlex.split(line) for line in said.splitlines() if line.startswith("export "))
    return dict(line[1].split("=", 1) for line in lines)


def aws(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    given = {"PATH": os.environ["PATH"], "HOME": str(data.parent)} | environment(data)
    program = Path(MOORAGE).with_name("aws")
    return run([str(program), *arguments, "--output", "text"], env=given, check=False)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("local")
    run_moorage("init", "--data", str(directory / "data"), "--account", "111122223333", "--region", "eu-west-1")
    tls = directory / "tls"
    run_moorage("ca", "--out", str(tls))
    options = ("--tls-cert", str(tls / "server.crt"), "--tls-key", str(tls / "server.key"))
    server = ServerProcess(directory / "data", *options, command="serve").start()
    while read_server(server.data) is None:  # written when the first worker answers
        time.sleep(0.05)
    yield server
    server.stop()


def test_the_aws_cli_speaks_to_a_tls_server_by_moorage_env_alone(secure: ServerProcess) -> None:
    found = environment(secure.data)
    assert found["AWS_ENDPOINT_URL"] == f"https://localhost:{secure.port}"
    assert found["AWS_CA_BUNDLE"] == str(secure.data.parent / "tls" / "ca.crt")
    done = aws(secure.data, "sts", "get-caller-identity", "--query", "Arn")
    assert done.stdout.strip() == "arn:aws:iam::111122223333:root", done.stderr


def test_a_self_signed_certificate_is_trusted_too(tmp_path: Path) -> None:
    run_moorage("init", "--data", str(tmp_path / "data"), "--account", "111122223333")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    run([*made, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    server = ServerProcess(tmp_path / "data", *options, command="serve").start()
    try:
        while read_server(server.data) is None:
            time.sleep(0.05)
        done = aws(server.data, "sts", "get-caller-identity", "--query", "Arn")
        assert done.stdout.strip() == "arn:aws:iam::111122223333:root", done.stderr
    finally:
        server.stop()


def test_serve_uses_the_database_that_init_was_told(postgres: PostgresServer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    given = ("--database-url", postgres.new_database())
    run_moorage("init", "--data", str(data), "--account", "111122223333", *given)
    server = ServerProcess(data, command="serve").start()
    try:
        create = ("ecr", "create-repository", "--repository-name", "team/app")
        made = aws(data, *create, "--query", "repository.registryId")
        assert made.stdout.strip() == "111122223333", made.stderr
        assert not (data / "moorage.db").exists()
    finally:
        server.stop()


def test_commands_and_login_trust_it_too(secure: ServerProcess, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PATH": "/nowhere", "COLUMNS": "200"}
    data = ("--data", str(secure.data))
    assert run_moorage("token", "list", *data, env=home).returncode == 0
    said = run_moorage("login", "--tool", "docker", *data, env=home).stdout
    assert f"at https://localhost:{secure.port}" in said
    logins = json.loads((tmp_path / ".docker" / "config.json").read_text())["auths"]
    assert f"localhost:{secure.port}" in logins


def test_plain_http_to_a_server_of_tls_says_so(secure: ServerProcess, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PATH": "/nowhere", "AWS_ENDPOINT_URL": f"http://localhost:{secure.port}"}
    for command in (("login",), ("why",)):
        said = run_moorage(*command, "--data", str(secure.data), env=home, check=False).stderr
        assert f"speaks TLS. Use https://localhost:{secure.port}" in said
        assert "\\x" not in said


def test_the_port_of_the_command_line_goes_first(secure: ServerProcess) -> None:
    assert environment(secure.data, "--port", "1")["AWS_ENDPOINT_URL"] == "http://localhost:1"
    own = environment(secure.data, "--port", str(secure.port))
    assert own["AWS_ENDPOINT_URL"] == f"https://localhost:{secure.port}"


def test_what_docker_logs_in_to_is_what_repository_uri_says(tmp_path: Path) -> None:
    """`docker push $(aws ecr describe-repositories …)` after the login that the banner shows."""
    server = ServerProcess(tmp_path / "data").start()
    try:
        made = aws(
            server.data, "ecr", "create-repository", "--repository-name", "app", "--query", "repository.repositoryUri"
        )
        assert made.stdout.strip() == f"localhost:{server.port}/app", made.stderr
        assert f"docker login -u test -p any localhost:{server.port}\n" in server.log.read_text()
    finally:
        server.stop()
    kept = read_server(server.data)
    assert kept is not None
    assert (kept.mode, kept.url) == ("dev", f"http://localhost:{server.port}")
    assert environment(server.data)["AWS_ENDPOINT_URL"] == kept.url


def test_env_invents_no_key(secure: ServerProcess) -> None:
    done = run_moorage("env", "--data", str(secure.data), "--account", "999999999999", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "has no key of account 999999999999; it has those of 111122223333" in done.stderr
    done = run_moorage("env", "--data", str(secure.data), "--account", "UNKNOWN", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "account" in done.stderr


def test_the_next_step_after_init_for_a_second_account_names_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = run_moorage("init", "--data", str(data), "--account", "111122223333").stdout
    assert f"env --data {data})" in first
    second = run_moorage("init", "--data", str(data), "--account", "444455556666").stdout
    assert f"env --data {data} --account 444455556666)" in second
    key = environment(data, "--account", "444455556666")["AWS_ACCESS_KEY_ID"]
    assert key in second
    assert environment(data)["AWS_ACCESS_KEY_ID"] in first


def test_a_client_listens_on_no_port() -> None:
    for command in (("env",), ("why",), ("audit",), ("token", "list"), ("login",), ("doctor",)):
        said = " ".join(run_moorage(*command, "--help", env=os.environ | {"COLUMNS": "200"}).stdout.split())
        assert "Port of the server on this machine." in said
