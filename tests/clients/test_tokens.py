"""Real clients log in with a pull token: they pull what it is for, and push nothing."""

import os
from pathlib import Path

import pytest

from tests.clients.commands import Client, Crane, Docker, Helm, Oras, Podman, Skopeo
from tests.clients.conftest import need, password
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

KINDS: tuple[type[Client], ...] = (Docker, Podman, Skopeo, Helm, Crane, Oras)


def token(server: ServerProcess, *arguments: str) -> str:
    environment = os.environ | {"AWS_ENDPOINT_URL": server.url}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return run_moorage("token", *arguments, env=environment).stdout.strip()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.program)
def test_pulls_with_a_token_and_pushes_nothing(
    kind: type[Client], server: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need(kind.program)
    client = kind(tmp_path_factory.mktemp("token"), layout)
    reference = f"{server.registry}/tokens/{kind.program}:{'0.1.0' if kind is Helm else 'v1'}"
    if kind is Helm:
        reference = f"{server.registry}/tokens/{kind.program}/app:0.1.0"
    try:
        client.prepare()
        client.login(server.registry, "AWS", password(server))
        client.push(reference)
        made = token(server, "create", kind.program, "-r", f"tokens/{kind.program}*", "--pull", "--expires", "10m")
        client.login(server.registry, kind.program, made)
        client.pull(reference)
        refused = client.push(reference.replace(":v1", ":v2"), check=False)
        assert refused.returncode != 0
        token(server, "revoke", kind.program)
        assert client.pull(reference, check=False).returncode != 0
    finally:
        client.close()
