"""One development server for the tests that come through boto3 and the AWS CLI."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.postgres import PostgresServer
from tests.support.server_process import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("end-to-end") / "data", "--access-log").start()
    yield running
    running.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_options(request: pytest.FixtureRequest) -> list[str]:
    """What the commands are told for metadata of each kind; a new database for each module."""
    if request.param == "sqlite":
        return []
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return ["--database-url", postgres.new_database()]


@pytest.fixture(scope="session")
def ecr(server: ServerProcess) -> Any:
    """The open key of the default account."""
    return server.client("ecr")
