"""Real clients that nobody has logged in pull what is open to all; and log in with a password as ever."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import ALL, Client, Helm, Regctl
from tests.clients.conftest import need, password
from tests.support.server_process import ServerProcess


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("anonymous") / "data")
    running.start(environment={"MOORAGE_ANONYMOUS_PULL": "true"})
    yield running
    running.stop()


def fresh(kind: type[Client], layout: Path, work: Path) -> Client:
    work.mkdir()
    (work / "auth.json").write_text("{}")
    client = kind(work, layout)
    client.environment |= {"REGISTRY_AUTH_FILE": str(work / "auth.json"), "PATH": os.environ["PATH"]}
    client.prepare()
    return client


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.program)
def test_pulls_without_a_login_and_pushes_with_one(
    kind: type[Client], open_server: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need(kind.program)
    name = f"anonymous/{kind.program}" + ("/app" if kind is Helm else "")
    reference = f"{open_server.registry}/{name}:{'0.1.0' if kind is Helm else 'v1'}"
    work = tmp_path_factory.mktemp("anonymous")
    owner = fresh(kind, layout, work / "o")
    try:
        owner.login(open_server.registry, "AWS", password(open_server))
        owner.push(reference)
    finally:
        owner.close()
    somebody = fresh(kind, layout, work / "s")
    try:
        if isinstance(somebody, Regctl):
            somebody.take_plain_http(open_server.registry)
        assert somebody.pull(reference, check=False).returncode != 0
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        open_server.client("ecr").set_repository_policy(repositoryName=name, policyText=text)
        somebody.pull(reference)
        # Under a new tag: crane does not push again what is there already.
        fresh_tag = reference if kind is Helm else f"{open_server.registry}/{name}:v2"
        assert somebody.push(fresh_tag, check=False).returncode != 0
    finally:
        somebody.close()
