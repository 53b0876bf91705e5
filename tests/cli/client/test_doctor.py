"""`moorage doctor` as a person sees it: a line a finding, the line that mends it, the exit status; and as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.doctor.checks import CHECKS
from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess, free_port, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("doctor") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": f"{Path(MOORAGE).parent}:/bin", "XDG_RUNTIME_DIR": str(home), "COLUMNS": "200"}


def doctor(environment: dict[str, str], *arguments: str, status: int) -> str:
    done = run_moorage("doctor", *arguments, env=environment, cwd=environment["HOME"], check=False)
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert "Traceback" not in said
    return said


def test_from_a_fresh_machine_to_a_healthy_one(environment: dict[str, str], server: ServerProcess) -> None:
    host = f"localhost:{server.port}"
    said = doctor(environment, host, status=1)
    assert f"no tool is logged in to {host}" in said
    assert f"\n                      moorage login {host}\n" in said
    assert "1 problem" in said
    run_moorage("login", host, "--tool", "crane", env=environment, cwd=environment["HOME"])
    said = doctor(environment, host, "--repository", "team/app", status=0)
    assert "Nothing prevents a push or pull." in said
    assert "it is Moorage" in said
    assert "the first push creates it" in said


def test_what_it_tells_is_typed_and_helps(environment: dict[str, str], server: ServerProcess) -> None:
    """Every line that `--json` tells for this machine is run as it stands, and then all is well."""
    (Path(environment["HOME"]) / ".docker").mkdir()
    (Path(environment["HOME"]) / ".docker" / "config.json").write_text('{"credsStore": "desktop"}')
    port = str(server.port)
    found = json.loads(doctor(environment, "--port", port, "--json", status=1))
    assert found["ok"] is False
    lines = [line for each in found["findings"] for line in each["fix"] if "systemctl" not in line]
    assert len(lines) >= 3
    script = "\n".join(["set -e", *lines, f"{MOORAGE} doctor --port {port} --json"])
    script = script.replace("moorage login", "moorage login --tool crane")
    done = run(["bash", "-c", script], env=environment, cwd=environment["HOME"])
    assert '"ok": true' in done.stdout


def test_nobody_there(environment: dict[str, str]) -> None:
    port = free_port()
    said = doctor(environment, f"localhost:{port}", status=1)
    assert f"moorage dev --port {port}" in said
    assert "Fix the first problem" in said


def test_json_names_every_check(environment: dict[str, str]) -> None:
    said = json.loads(doctor(environment, "https://registry.invalid", "--json", status=1))
    assert (said["host"], said["endpoint"]) == ("registry.invalid", "https://registry.invalid")
    assert {each["check"] for each in said["findings"]} <= set(CHECKS)
    failed = [each["check"] for each in said["findings"] if each["state"] == "fail"]
    assert failed == ["name"]
    assert all(each["fix"] for each in said["findings"] if each["state"] in {"fail", "warn"})


@pytest.mark.parametrize("arguments", [("localhost:99999",), ("123456789012.dkr.ecr.us-east-1.amazonaws.com",)])
def test_a_host_that_is_none(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert "moorage:" in doctor(environment, *arguments, status=1)
