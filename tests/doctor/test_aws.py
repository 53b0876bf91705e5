"""The AWS side: variables that lead elsewhere, regions that differ, keys that the server does not know."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.doctor.conftest import Make, look, of, only
from tests.login.conftest import FakeServer
from tests.support.server_process import ServerProcess

URL = "http://localhost:4580"


@pytest.mark.parametrize(
    ("variables", "state", "said"),
    [
        ({}, "warn", "sends its calls to Amazon"),
        ({"AWS_ENDPOINT_URL": URL}, "ok", URL),
        ({"AWS_ENDPOINT_URL_ECR": URL}, "ok", URL),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, "warn", "not to http://localhost:4580"),
        ({"AWS_ENDPOINT_URL": "localhost:4580"}, "fail", "not a URL"),
    ],
)
def test_where_calls_go(target: Make, variables: dict[str, str], state: str, said: str) -> None:
    found = only("AWS endpoint", target(URL, environment=variables))
    assert found.state == state
    assert said in found.text
    if state != "ok":
        assert found.fix == ('eval "$(moorage env --port 4580)"',)


def test_variables_that_are_ignored(target: Make) -> None:
    variables = {"AWS_ENDPOINT_URL": URL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    found = only("AWS endpoint", target(URL, environment=variables))
    assert (found.state, found.fix) == ("fail", ("unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",))


def test_one_service_elsewhere(target: Make) -> None:
    variables = {"AWS_ENDPOINT_URL": URL, "AWS_ENDPOINT_URL_STS": "http://localhost:4566"}
    _, found = look("AWS endpoint", target(URL, environment=variables))
    assert (found.state, found.fix) == ("warn", ("unset AWS_ENDPOINT_URL_STS",))


def test_a_server_elsewhere(target: Make) -> None:
    found = only("AWS endpoint", target("https://r.example.com"))
    assert found.fix == ("export AWS_ENDPOINT_URL=https://r.example.com",)


@pytest.mark.parametrize(
    ("host", "variables", "fix"),
    [
        ("localhost:4580", {}, "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"),
        ("localhost:4580", {"AWS_REGION": "eu-west-1"}, "export AWS_DEFAULT_REGION=eu-west-1"),
        ("localhost:4580", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}, None),
        ("localhost:4580", {"AWS_DEFAULT_REGION": "eu-west-1"}, None),
        ("localhost:4580", {"AWS_REGION": "a-b-1", "AWS_DEFAULT_REGION": "c-d-1"}, "export AWS_DEFAULT_REGION=a-b-1"),
        (
            "123456789012.dkr.ecr.ap-south-1.amazonaws.com",
            {"AWS_REGION": "eu-west-1"},
            "export AWS_REGION=ap-south-1 AWS_DEFAULT_REGION=ap-south-1",
        ),
    ],
)
def test_regions(target: Make, host: str, variables: dict[str, str], fix: str | None) -> None:
    found = only("AWS region", target(URL, host=host, environment=variables))
    assert found.state == ("ok" if fix is None else "warn")
    assert found.fix == (() if fix is None else (fix,))


def test_the_region_of_a_profile(target: Make, home: dict[str, str]) -> None:
    directory = Path(home["HOME"]) / ".aws"
    directory.mkdir()
    (directory / "config").write_text("[default]\nregion = eu-west-1\n")
    assert only("AWS region", target(URL)) == ("ok", "region eu-west-1", ())
    (directory / "config").write_text("no section")
    assert only("AWS region", target(URL)).state == "warn"
    assert only("access key", target(URL)).state == "fail"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("doctor-aws") / "data").start()
    yield running
    running.stop()


def test_an_open_key(target: Make, server: ServerProcess) -> None:
    found = only("access key", target(server.url))
    assert found == ("ok", "arn:aws:iam::000000000000:root, by the open key test of moorage dev", ())
    assert "123456789012:root" in only("access key", target(server.url, account="123456789012")).text


def test_a_key_that_the_server_does_not_know(target: Make, server: ServerProcess) -> None:
    variables = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "hidden"}
    found = only("access key", target(server.url, environment=variables))
    assert found.state == "fail"
    assert "does not know the key AKIAIOSFODNN7EXAMPLE of the environment" in found.text
    assert found.fix[-1] == f'eval "$(moorage env --port {server.port})"'
    assert "hidden" not in str(found)


def test_a_secret_that_is_wrong(target: Make, server: ServerProcess, home: dict[str, str]) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]["AccessKeyId"]
    directory = Path(home["HOME"]) / ".aws"
    directory.mkdir()
    (directory / "credentials").write_text(f"[team]\naws_access_key_id = {key}\naws_secret_access_key = wrong\n")
    found = only("access key", target(server.url, profile="team"))
    assert (found.state, found.fix) == ("fail", ("aws configure --profile team",))
    assert f"the secret of {key} is wrong" in found.text


def test_a_profile_that_is_not_there(target: Make, server: ServerProcess) -> None:
    found = only("access key", target(server.url, profile="absent"))
    assert (found.state, found.fix) == ("fail", ("aws configure --profile absent",))


def test_a_signature_that_is_too_old(target: Make, server: ServerProcess) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="late")
    key = iam.create_access_key(UserName="late")["AccessKey"]
    variables = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert only("access key", target(server.url, environment=variables)).state == "ok"
    body = json.dumps({"now": time.time() + 3600}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/_moorage/clock", data=body, method="POST"))
    examined = target(server.url, environment=variables)
    found = only("access key", examined)
    # The machines' clocks agree; a development server was told another time.
    assert found.state == "fail"
    subprocess.run(["sh", "-c", found.fix[0]], check=True, capture_output=True)
    assert only("access key", target(server.url, environment=variables)).state == "ok"
    found = only("access key", examined)
    assert found.state == "ok"


def test_a_signature_that_is_too_old_by_the_machines_clock(target: Make, fake: FakeServer) -> None:
    fake.status = 403
    fake.body = b"<E><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 1 is now earlier</Message></E>"
    fake.headers["Date"] = formatdate(time.time() + 900, usegmt=True)
    found = only("access key", of(fake, target))
    assert (found.state, found.fix) == ("fail", ("sudo timedatectl set-ntp true",))


def test_no_sts(target: Make, fake: FakeServer) -> None:
    fake.status, fake.body = 404, b"not here"
    found = only("access key", of(fake, target))
    assert found.state == "warn"
    assert "no STS" in found.text


def test_nobody_answers(target: Make) -> None:
    assert only("access key", target("http://127.0.0.1:1")).state == "skip"


def test_another_spelling_of_this_machine_is_a_fault_unless_docker_is_logged_in_to_it(
    fake: FakeServer, target: Make, home: dict[str, str]
) -> None:
    """repositoryUri begins with the host of AWS_ENDPOINT_URL, and docker keeps logins by its letters."""
    there, here = f"127.0.0.1:{fake.port}", f"localhost:{fake.port}"
    examined = target(f"http://{here}", environment={"AWS_ENDPOINT_URL": f"http://{there}"})
    found = look("AWS endpoint", examined)[0]
    assert (found.state, found.fix) == ("fail", (f"export AWS_ENDPOINT_URL=http://{here}",))
    file = Path(home["HOME"]) / ".docker" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"auths": {there: {"auth": "eDp5"}}}))
    examined = target(f"http://{here}", environment={"AWS_ENDPOINT_URL": f"http://{there}"})
    assert look("AWS endpoint", examined)[0].state == "ok"
