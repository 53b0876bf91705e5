"""One server for all client tests, the images they push, and the rule for clients that are not here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import ALL, Client
from tests.clients.images import write_layout
from tests.support.server_process import ServerProcess
from tests.support.tools import missing


def need(program: str) -> None:
    """Skip naming the missing program; in CI its absence is a failure."""
    if shutil.which(program) is None:
        missing(program)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("clients") / "data").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("layout") / "image"
    write_layout(directory, files={"greeting": b"hello\n", "data": bytes(range(256)) * 512})
    return directory


@pytest.fixture(scope="module", params=ALL, ids=lambda kind: kind.program)
def client(
    request: pytest.FixtureRequest, server: ServerProcess, layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    kind: type[Client] = request.param
    need(kind.program)
    made = kind(tmp_path_factory.mktemp(kind.program), layout)
    try:
        made.prepare()
        made.login(server.registry, "AWS", password(server))
        yield made
    finally:
        made.close()


def password(server: ServerProcess, key: str = "test", secret: str = "test") -> str:
    """What `aws ecr get-login-password` prints for a key."""
    import base64

    token = server.client("ecr", key, secret).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]
