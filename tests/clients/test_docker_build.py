"""docker builds an image, classic and with buildx, pushes it, and runs what it pulls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import Docker
from tests.clients.conftest import need, password
from tests.support.server_process import ServerProcess, run


@pytest.fixture(scope="module")
def docker(server: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    need("dockerd")
    need("docker")
    made = Docker(tmp_path_factory.mktemp("docker-build"), layout)
    try:
        made.prepare()
        made.login(server.registry, "AWS", password(server))
        yield made
    finally:
        made.close()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY greeting /greeting\nLABEL made=by-docker\n")
    (tmp_path / "greeting").write_text("hello\n")
    return tmp_path


def test_classic_build(docker: Docker, server: ServerProcess, context: Path) -> None:
    reference = f"{server.registry}/built/classic:v1"
    docker.environment["DOCKER_BUILDKIT"] = "0"
    docker.call("build", "-t", reference, str(context))
    docker.push_reference(reference)
    docker.pull(reference)
    assert "by-docker" in docker.call("inspect", reference).stdout


def test_buildx(docker: Docker, server: ServerProcess, context: Path) -> None:
    need("docker-buildx")
    plugins = docker.work / "docker" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    found = run(["sh", "-c", "command -v docker-buildx"]).stdout.strip()
    if not (plugins / "docker-buildx").exists():
        (plugins / "docker-buildx").symlink_to(found)
    reference = f"{server.registry}/built/buildx:v1"
    docker.call("buildx", "build", "--provenance=false", "--push", "-t", reference, str(context))
    docker.pull(reference)
    assert "by-docker" in docker.call("inspect", reference).stdout


def test_a_manifest_list(docker: Docker, server: ServerProcess) -> None:
    base = f"{server.registry}/built/list"
    for tag in ("amd64", "again"):
        docker.push(f"{base}:{tag}")
    docker.call("manifest", "create", "--insecure", f"{base}:all", f"{base}:amd64", f"{base}:again")
    docker.call("manifest", "push", "--insecure", f"{base}:all")
    types = {
        each["imageManifestMediaType"]
        for each in server.client("ecr").describe_images(repositoryName="built/list")["imageDetails"]
    }
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in types
