"""Real clients log in through `moorage login` and through the credential helper, then push and pull."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import Client, Containerd, Crane, Docker, Helm, Oras, Podman, Skopeo
from tests.clients.conftest import need
from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess, run

KINDS: tuple[type[Client], ...] = (Docker, Podman, Skopeo, Helm, Crane, Oras)


def tag_of(client: Client) -> str:
    return "0.1.0" if client.program == "helm" else "v1"


def moorage_login(client: Client, *arguments: str) -> str:
    environment = os.environ | {
        "HOME": str(client.work),
        "DOCKER_CONFIG": str(client.work / "docker"),
        **client.environment,
    }
    for name in [name for name in environment if name.startswith("AWS_")]:
        del environment[name]
    return run_moorage("login", *arguments, env=environment, cwd=client.work).stdout


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with nothing open: who has not logged in is refused."""
    data = tmp_path_factory.mktemp("login") / "data"
    run_moorage("init", "--data", str(data), "--account", "111122223333")
    running = ServerProcess(data, command="serve").start(environment={"MOORAGE_CREATE_ON_PUSH": "true"})
    yield running
    running.stop()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.program)
def fresh(request: pytest.FixtureRequest, layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client that nobody has logged in; podman's and skopeo's file is one of its own too."""
    kind: type[Client] = request.param
    need(kind.program)
    work = tmp_path_factory.mktemp(f"login-{kind.program}")
    made = kind(work, layout)
    (work / "auth.json").write_text("{}")
    # The helper must be on the PATH of whoever starts it.
    path = f"{Path(MOORAGE).parent}:{os.environ['PATH']}"
    made.environment |= {"REGISTRY_AUTH_FILE": str(work / "auth.json"), "PATH": path}
    try:
        made.prepare()
        yield made
    finally:
        made.close()


def test_pushes_and_pulls_after_moorage_login(fresh: Client, serving: ServerProcess) -> None:
    reference = f"{serving.registry}/login/{fresh.program}/app:{tag_of(fresh)}"
    assert fresh.push(reference, check=False).returncode != 0
    moorage_login(fresh, serving.registry, "--data", str(serving.data), "--tool", fresh.program)
    fresh.push(reference)
    fresh.pull(reference)


def test_pushes_and_pulls_through_the_helper(fresh: Client, serving: ServerProcess) -> None:
    """Runs after the login above: what that left must not stand in the helper's way."""
    fresh.environment.pop("REGISTRY_AUTH_FILE")  # with it, podman and skopeo read no other file
    fresh.environment["XDG_RUNTIME_DIR"] = str(fresh.work / "runtime")
    (fresh.work / "runtime").mkdir(exist_ok=True)
    moorage_login(fresh, "--helper", "--data", str(serving.data), serving.registry)
    reference = f"{serving.registry}/helped/{fresh.program}/app:{tag_of(fresh)}"
    fresh.push(reference)
    fresh.pull(reference)
    assert list((fresh.work / ".cache" / "moorage").glob("minted-*.json")) != []


def test_containerd_through_its_hosts_file(
    serving: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need("ctr")
    made = Containerd(tmp_path_factory.mktemp("login-ctr"), layout)
    try:
        made.prepare()
        hosts = str(made.work / "certs.d")
        login = ("--data", str(serving.data), "--tool", "containerd", "--containerd-hosts", hosts)
        moorage_login(made, serving.registry, *login)
        reference = f"{serving.registry}/login/ctr/app:v1"
        made.call("images", "push", "--hosts-dir", hosts, reference, "docker.io/local/app:v1")
        made.call("images", "pull", "--snapshotter", "native", "--hosts-dir", hosts, reference)
    finally:
        made.close()


def test_docker_login_and_logout_with_the_helper_in_place(
    server: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """docker itself stores and erases through the helper; after a logout it goes on with fresh passwords."""
    need("dockerd")
    client = Docker(tmp_path_factory.mktemp("login-docker-helper"), layout)
    client.environment["PATH"] = f"{Path(MOORAGE).parent}:{os.environ['PATH']}"
    helper = str(Path(MOORAGE).with_name("docker-credential-moorage"))

    def asked() -> str:
        environment = os.environ | {"HOME": str(client.work)}
        return run([helper, "get"], input=server.registry, env=environment).stdout

    try:
        client.prepare()
        moorage_login(client, "--helper", server.registry)
        assert "Login Succeeded" in client.call("login", server.registry).stdout
        client.call("login", "-u", "111122223333", "-p", "any", server.registry)
        assert '"Username": "111122223333"' in asked()
        client.call("logout", server.registry)
        assert '"Username": "AWS"' in asked()
    finally:
        client.close()
