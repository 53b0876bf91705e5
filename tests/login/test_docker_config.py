"""Docker's file by docker's rules: helpers before what the file holds, everything else in it left alone."""

import json
import stat
from pathlib import Path

import pytest

from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.errors import DockerConfigError
from moorage.login.passwords import Credential

HOST = "r.example.com:4580"


@pytest.fixture
def environment(home: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A helper named `fake` on the PATH, which keeps what it is given in a file beside it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "docker-credential-fake"
    program.write_text(
        "#!/bin/sh\n"
        f"kept={tmp_path}/kept\n"
        'case $1 in store) cat > "$kept";; get) [ -f "$kept" ] && cat "$kept" || '
        "{ echo 'credentials not found in native keychain'; exit 1; };; *) echo 'no keyring'; exit 1;; esac\n"
    )
    program.chmod(0o755)
    return home | {"PATH": f"{directory}:{home['PATH']}"}


def written(environment: dict[str, str], content: object) -> DockerConfig:
    file = config_file(environment)
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return DockerConfig(file)


def test_no_file_holds_nothing(home: dict[str, str]) -> None:
    configuration = DockerConfig(config_file(home))
    assert configuration.helper_of(HOST) is None
    assert configuration.credential_of(HOST, home) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', '{"credHelpers": 1}', '{"auths": {,}}'])
def test_a_broken_file_is_named(home: dict[str, str], text: str) -> None:
    with pytest.raises(DockerConfigError, match=r"config\.json"):
        written(home, text)


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/"])
def test_what_the_file_holds(home: dict[str, str], key: str) -> None:
    configuration = written(home, {"auths": {key: {"auth": "QVdTOmE6Yg=="}, "other": {"auth": "!"}}})
    assert configuration.credential_of(HOST, home) == Credential("AWS", "a:b")
    assert configuration.auth_of("other") is None


def test_the_rest_is_left_alone(home: dict[str, str]) -> None:
    before = {"auths": {"other": {"auth": "eDp5"}}, "HttpHeaders": {"a": "b"}, "currentContext": "c"}
    configuration = written(home, before)
    configuration.set_auth(HOST, Credential("AWS", "a:b"), home)
    after = json.loads(configuration.file.read_text())
    assert after == before | {"auths": before["auths"] | {HOST: {"auth": "QVdTOmE6Yg=="}}}  # type: ignore[operator]  # JSON
    assert stat.S_IMODE(configuration.file.stat().st_mode) == 0o600


def test_a_link_is_followed(home: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere.json"
    kept.write_text("{}")
    file = config_file(home)
    file.parent.mkdir()
    file.symlink_to(kept)
    DockerConfig(file).set_auth(HOST, Credential("AWS", "x"), home)
    assert file.is_symlink()
    assert HOST in json.loads(kept.read_text())["auths"]


def test_a_store_keeps_it_instead_of_the_file(environment: dict[str, str]) -> None:
    configuration = written(environment, {"credsStore": "fake"})
    assert configuration.credential_of(HOST, environment) is None
    configuration.set_auth(HOST, Credential("AWS", "pass"), environment)
    assert "pass" not in configuration.file.read_text()
    assert configuration.credential_of(HOST, environment) == Credential("AWS", "pass")


def test_the_hosts_helper_goes_before_the_store(environment: dict[str, str]) -> None:
    configuration = written(environment, {"credsStore": "desktop", "auths": {f"https://{HOST}": {"auth": "eDp5"}}})
    with pytest.raises(DockerConfigError, match="docker-credential-desktop is not installed"):
        configuration.credential_of(HOST, environment)
    configuration.set_helper(HOST, "fake")
    assert DockerConfig(configuration.file).helper_of(HOST) == "fake"
    assert configuration.credential_of(HOST, environment) is None
    assert json.loads(configuration.file.read_text())["auths"] == {}


def test_a_helper_that_fails_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    configuration = written(environment, {"credHelpers": {HOST: "fake"}})
    (tmp_path / "kept").write_text("not json")
    with pytest.raises(DockerConfigError, match="no credential"):
        configuration.credential_of(HOST, environment)
