"""Docker's configuration, helpers and engine, each in every way that it can be wrong. The lines that mend are run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from moorage.doctor import docker as docker_checks
from moorage.login.docker_config import config_file
from moorage.login.hosts import Server, hosts_file, write_host
from tests.doctor.conftest import Make, look, only

URL = "http://localhost:4580"
HOST = "localhost:4580"


def written(home: dict[str, str], content: Any) -> Path:
    file = config_file(home)
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(0o600)
    return file


def mend(line: str) -> None:
    """Do what a person is told to type."""
    subprocess.run(["sh", "-c", line], check=True)


def test_no_configuration(target: Make) -> None:
    assert only("docker config", target(URL)).state == "ok"
    assert only("docker helper", target(URL)).state == "ok"


def test_broken_json(target: Make, home: dict[str, str]) -> None:
    file = written(home, '{"auths": {},}')
    found = only("docker config", target(URL))
    assert found.state == "fail"
    assert "line 1" in found.text
    assert only("docker helper", target(URL)).state == "skip"
    mend(found.fix[0])
    assert not file.exists()
    assert only("docker config", target(URL)).state == "ok"


def test_passwords_that_others_can_read(target: Make, home: dict[str, str]) -> None:
    file = written(home, {"auths": {HOST: {"auth": "eDp5"}}})
    assert only("docker config", target(URL)).state == "ok"
    file.chmod(0o644)
    found = only("docker config", target(URL))
    assert found.state == "warn"
    mend(found.fix[0])
    assert only("docker config", target(URL)).state == "ok"


def test_a_desktops_store_that_is_missing(target: Make, home: dict[str, str]) -> None:
    file = written(home, {"credsStore": "desktop", "currentContext": "x"})
    found = only("docker helper", target(URL))
    assert found.state == "fail"
    assert "docker-credential-desktop" in found.text
    mend(found.fix[0])
    assert json.loads(file.read_text()) == {"currentContext": "x"}


def test_a_helper_that_is_missing(target: Make, home: dict[str, str]) -> None:
    written(home, {"credHelpers": {HOST: "pass"}})
    found = only("docker helper", target(URL))
    assert (found.state, found.fix) == ("fail", (f"moorage login --helper {HOST}",))
    file = written(home, {"credHelpers": {HOST: "moorage"}})
    found = only("docker helper", target(URL, environment={"PATH": "/bin"}))
    assert found.state == "fail"
    mend(found.fix[0])
    assert json.loads(file.read_text()) == {"credHelpers": {}}


def test_our_helper_that_was_told_nothing(target: Make, home: dict[str, str]) -> None:
    written(home, {"credHelpers": {HOST: "moorage"}})
    found = only("docker helper", target(URL))
    assert (found.state, found.fix) == ("fail", (f"moorage login --helper {HOST}",))
    write_host(home, HOST, Server(URL, "us-east-1", {"open": "test"}))
    assert only("docker helper", target(URL)).state == "ok"
    hosts_file(home).write_text("{")
    found = only("docker helper", target(URL))
    assert found.state == "fail"
    assert found.fix[0].startswith("mv ")


def test_amazons_helper_on_a_name_that_is_not_amazons(target: Make, home: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-ecr-login"
    program.write_text("")
    program.chmod(0o755)
    written(home, {"credHelpers": {HOST: "ecr-login", "1.dkr.ecr.us-east-1.amazonaws.com": "ecr-login"}})
    environment = {"PATH": str(tmp_path)}
    found = only("docker helper", target(URL, environment=environment))
    assert (found.state, found.fix) == ("fail", (f"moorage login --helper {HOST}",))
    amazon = target("https://1.dkr.ecr.us-east-1.amazonaws.com", environment=environment)
    assert only("docker helper", amazon).state == "ok"


def test_a_stale_password_beside_a_helper(target: Make, home: dict[str, str]) -> None:
    file = written(home, {"credHelpers": {HOST: "moorage"}, "auths": {f"https://{HOST}": {"auth": "eDp5"}}})
    write_host(home, HOST, Server(URL, "us-east-1", {"open": "test"}))
    helper, stale = look("docker helper", target(URL))
    assert (helper.state, stale.state) == ("ok", "warn")
    mend(stale.fix[0])
    assert json.loads(file.read_text())["auths"] == {}


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    """A docker whose `info` says what it is told; `environment` has it on the PATH."""

    class Engine:
        def __init__(self) -> None:
            self.environment = {"PATH": f"{tmp_path}:/bin:/usr/bin"}

        def says(self, document: dict[str, Any], error: str = "", status: int = 0) -> None:
            (tmp_path / "info.json").write_text(json.dumps(document))
            (tmp_path / "error").write_text(error)
            program = tmp_path / "docker"
            program.write_text(f"#!/bin/sh\ncat {tmp_path}/error >&2\ncat {tmp_path}/info.json\nexit {status}\n")
            program.chmod(0o755)

    return Engine()


RUNS = {"ServerVersion": "28.0", "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}}}


def test_an_engine_that_runs(target: Make, engine: Any) -> None:
    engine.says(RUNS)
    assert only("docker engine", target(URL, environment=engine.environment)).state == "ok"
    assert only("docker engine", target("https://r.example.com", environment=engine.environment)).state == "ok"
    assert only("docker engine", target(URL, environment={"PATH": "/nowhere"})).state == "skip"


def test_an_engine_that_is_off(target: Make, engine: Any) -> None:
    engine.says({"ServerErrors": ["Cannot connect to the Docker daemon"]}, status=1)
    found = only("docker engine", target(URL, environment=engine.environment))
    assert (found.state, found.fix) == ("warn", ("sudo systemctl start docker",))


def test_an_engine_that_is_not_yours(target: Make, engine: Any) -> None:
    engine.says({}, "permission denied while trying to connect to the Docker daemon socket", 1)
    found = only("docker engine", target(URL, environment=engine.environment))
    assert found.state == "fail"
    assert found.fix[0].startswith("sudo usermod -aG docker")


def test_an_engine_that_wants_tls(target: Make, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = tmp_path / "daemon.json"
    monkeypatch.setattr(docker_checks, "_DAEMON", daemon)
    engine.says(RUNS)
    examined = target("http://10.1.2.3:4580", environment=engine.environment)
    found = only("docker engine", examined)
    assert found.state == "fail"
    mend(found.fix[0].replace("sudo ", ""))
    assert json.loads(daemon.read_text()) == {"insecure-registries": ["10.1.2.3:4580"]}
    daemon.write_text('{"debug": true}')
    mend(only("docker engine", examined).fix[0].replace("sudo ", ""))
    assert json.loads(daemon.read_text()) == {"debug": True, "insecure-registries": ["10.1.2.3:4580"]}
    listed = {"10.1.2.3:4580": {"Secure": False}}
    engine.says(RUNS | {"RegistryConfig": {"InsecureRegistryCIDRs": [], "IndexConfigs": listed}})
    assert only("docker engine", examined).state == "ok"


def test_an_engine_behind_a_proxy(target: Make, engine: Any) -> None:
    engine.says(RUNS | {"HttpsProxy": "http://proxy:3128", "NoProxy": "a"})
    warned, _ = look("docker engine", target("https://r.example.com", environment=engine.environment))
    assert warned.state == "warn"
    assert "NO_PROXY=a,r.example.com" in warned.fix[0]
