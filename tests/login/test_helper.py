"""`docker-credential-moorage`: docker's protocol to the letter, passwords kept no longer than they are good."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.login import passwords
from moorage.login.hosts import Server, write_host
from tests.support.server_process import MOORAGE, ServerProcess

HELPER = str(Path(MOORAGE).with_name("docker-credential-moorage"))


def call(environment: dict[str, str], action: str, text: str = "") -> tuple[int, str]:
    done = subprocess.run([HELPER, action], input=text, capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def got(environment: dict[str, str], host: str) -> tuple[str, str]:
    status, said = call(environment, "get", host)
    assert status == 0, said
    answer = json.loads(said)
    assert answer["ServerURL"] == host
    return answer["Username"], answer["Secret"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("helper") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def minted(server: ServerProcess, home: dict[str, str]) -> dict[str, str]:
    """An environment with a user's true key in a profile, and the host set up with it."""
    iam = server.client("iam")
    name = f"user-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    document = {"Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}], "Version": "2012-10-17"}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    directory = Path(home["HOME"]) / ".aws"
    directory.mkdir()
    (directory / "credentials").write_text(
        f"[team]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )
    write_host(home, server.registry, Server(server.url, "us-east-1", {"profile": "team"}))
    return home


def kept_files(environment: dict[str, str]) -> list[Path]:
    return sorted(passwords.directory(environment).glob("*.json"))


def test_a_host_nobody_set_up_is_not_found(home: dict[str, str]) -> None:
    assert call(home, "get", "https://index.docker.io/v1/") == (1, "credentials not found in native keychain\n")
    assert call(home, "get", "\n") == (1, "no credentials server URL\n")


def test_a_password_is_kept_while_it_is_good(minted: dict[str, str], server: ServerProcess) -> None:
    first = got(minted, server.registry)
    assert first[0] == "AWS"
    assert got(minted, f"https://{server.registry}") == first
    (file,) = kept_files(minted)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    kept = json.loads(file.read_text())
    assert abs(kept["ends"] - kept["at"] - 12 * 3600) < 60

    near = {"at": time.time() - 42000, "ends": time.time() + 1200}
    file.write_text(json.dumps(kept | near))
    second = got(minted, server.registry)
    assert second != first
    file.write_text(json.dumps(json.loads(file.read_text()) | {"at": time.time() + 9000}))  # the clock was set back
    assert got(minted, server.registry) != second


@pytest.mark.parametrize("broken", ["", "{", '{"user": "AWS"}', '{"user": "AWS", "secret": "x", "at": "y"}'])
def test_a_broken_file_is_made_again(minted: dict[str, str], server: ServerProcess, broken: str) -> None:
    first = got(minted, server.registry)
    (file,) = kept_files(minted)
    file.write_text(broken)
    assert got(minted, server.registry) != first
    assert json.loads(file.read_text())["user"] == "AWS"


def test_a_file_that_others_can_read_is_not_trusted(minted: dict[str, str], server: ServerProcess) -> None:
    first = got(minted, server.registry)
    (file,) = kept_files(minted)
    file.chmod(0o644)
    assert got(minted, server.registry) != first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_key_has_a_password_of_its_own(minted: dict[str, str], server: ServerProcess) -> None:
    first = got(minted, server.registry)
    write_host(minted, server.registry, Server(server.url, "us-east-1", {"open": "test"}))
    assert got(minted, server.registry) != first


def test_an_open_key_is_asked_anew_each_time(home: dict[str, str], server: ServerProcess) -> None:
    write_host(home, server.registry, Server(server.url, "us-east-1", {"open": "test"}))
    assert got(home, server.registry) != got(home, server.registry)


def test_the_environment_is_enough(home: dict[str, str], server: ServerProcess) -> None:
    environment = home | {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    assert got(environment, server.registry)[0] == "AWS"
    assert got(environment, "123456789012.dkr.ecr.us-east-1.amazonaws.com")[0] == "AWS"


def test_what_a_person_stores_goes_first_until_it_is_erased(minted: dict[str, str], server: ServerProcess) -> None:
    host = server.registry
    first = got(minted, host)
    again = json.dumps({"ServerURL": host, "Username": first[0], "Secret": first[1]})
    assert call(minted, "store", again) == (0, "")
    assert len(kept_files(minted)) == 1  # what was minted here is not kept twice
    given = json.dumps({"ServerURL": f"https://{host}", "Username": "someone", "Secret": "s3cret"})
    assert call(minted, "store", given) == (0, "")
    assert got(minted, host) == ("someone", "s3cret")
    assert json.loads(call(minted, "list")[1]) == {host: "someone"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in kept_files(minted))
    assert call(minted, "erase", host) == (0, "")
    assert kept_files(minted) == []
    assert got(minted, host)[0] == "AWS"
    assert json.loads(call(minted, "list")[1]) == {host: "AWS"}


def test_a_stored_registry_password_ends_with_its_twelve_hours(home: dict[str, str]) -> None:
    given = json.dumps({"ServerURL": "r.example.com", "Username": "AWS", "Secret": "p"})
    assert call(home, "store", given)[0] == 0
    assert got(home, "r.example.com") == ("AWS", "p")
    (file,) = kept_files(home)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"at": time.time() - 13 * 3600}))
    assert call(home, "get", "r.example.com") == (1, "credentials not found in native keychain\n")


def test_what_fails_says_why(minted: dict[str, str], server: ServerProcess) -> None:
    write_host(minted, "gone:1", Server("http://127.0.0.1:1", "us-east-1", {"open": "test"}))
    status, said = call(minted, "get", "gone:1")
    assert status == 1
    assert said.startswith("moorage: no answer from http://127.0.0.1:1")
    write_host(minted, server.registry, Server(server.url, "us-east-1", {"profile": "none"}))
    assert "aws configure --profile none" in call(minted, "get", server.registry)[1]
    for text in ("", "{", "[]", '{"ServerURL": "x"}'):
        assert call(minted, "store", text) == (1, "not a credential in JSON\n")
    assert call(minted, "unknown")[0] == 1


def test_erasing_works_when_the_key_is_gone(minted: dict[str, str], server: ServerProcess) -> None:
    got(minted, server.registry)
    write_host(minted, server.registry, Server(server.url, "us-east-1", {"profile": "none"}))
    assert call(minted, "erase", server.registry) == (0, "")


def test_no_heavy_module_is_loaded_for_a_kept_password(minted: dict[str, str], server: ServerProcess) -> None:
    got(minted, server.registry)
    program = (
        "import sys; from moorage.login import helper; sys.argv = ['h', 'get']; assert helper.main() == 0; "
        "print([name for name in ('http.client', 'ssl', 'email', 'typer', 'rich', 'msgspec', 'subprocess') "
        "if name in sys.modules], file=sys.stderr)"
    )
    python = str(Path(MOORAGE).with_name("python"))
    done = subprocess.run(
        [python, "-c", program], input=server.registry, capture_output=True, text=True, env=minted, check=True
    )
    assert done.stderr.strip() == "[]"
    assert os.environ.get("HOME") != minted["HOME"]
