"""One development server for the tests that come through boto3 and the AWS CLI."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("end-to-end") / "data", "--access-log").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def ecr(server: RunningServer) -> Any:
    """The open key of the default account."""
    return server.client("ecr")
