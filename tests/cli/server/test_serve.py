"""`moorage init` and `moorage serve`: nothing open, the first key shown once, loopback unless TLS."""

import configparser
import re
import stat
from pathlib import Path

import pytest

from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, Error, ServerProcess, run


def test_serve_takes_only_keys_that_were_made_here(tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = run_moorage("init", "--data", str(data), "--account", "111122223333", "--region", "eu-west-1").stdout
    key = re.search(r"AKIA[A-Z2-7]+", said)
    assert key is not None
    file = data / "credentials"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(file)
    secret = parser["default"]["aws_secret_access_key"]
    server = ServerProcess(data, command="serve").start()
    try:
        ecr = server.client("ecr", key[0], secret, region="eu-west-1")
        made = ecr.create_repository(repositoryName="first")["repository"]
        assert made["registryId"] == "111122223333"
        with pytest.raises(Error) as refused:
            server.client("ecr", "test", "test").describe_repositories()
        assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
        with pytest.raises(Error):
            server.client("ecr", "111122223333", "test").describe_repositories()
    finally:
        assert server.stop() == 0
    again = run_moorage("init", "--data", str(data), "--account", "111122223333", check=False)
    assert again.returncode != 0
    assert secret not in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["dev", "--host", "0.0.0.0"], "loopback only"),
        (["serve"], "moorage init"),
    ],
)
def test_what_must_not_be_opened_is_refused_with_advice(tmp_path: Path, arguments: list[str], advice: str) -> None:
    refused = run([MOORAGE, *arguments, "--data", str(tmp_path / "none")], check=False)
    assert refused.returncode == 1
    assert advice in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_others_reach_needs_tls(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_moorage("init", "--data", str(data))
    refused = run([MOORAGE, "serve", "--data", str(data), "--host", "0.0.0.0"], check=False)
    assert refused.returncode == 1
    assert "--tls-cert" in refused.stderr


def test_tls_with_a_certificate_of_our_own_authority(tmp_path: Path) -> None:
    run_moorage("ca", "--out", str(tmp_path / "tls"), "localhost", "127.0.0.1")
    tls = ("--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key"))
    server = ServerProcess(tmp_path / "data", *tls).start()
    try:
        trusted = server.client("sts", verify=str(tmp_path / "tls" / "ca.crt"))
        assert trusted.get_caller_identity()["Account"] == "000000000000"
    finally:
        server.stop()
