"""What tests of several parts share: a metadata database of each kind, and a private PostgreSQL server."""

import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from moorage.settings import Settings
from moorage.store.metadata.database import Database
from moorage.store.metadata.open import open_database

# A deadline is a timed assertion: on a busy machine it fails for no fault of the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_POSTGRES = Path("/usr/lib/postgresql/15/bin")
_database_numbers = itertools.count(1)


def missing(tool: str) -> None:
    """Skip the test, naming the tool that is not installed; in CI everything must be there, so fail."""
    message = f"{tool} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class PostgresServer:
    """A private server; `new_database` makes an empty database and returns its URL."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def run(self, program: str, *arguments: str) -> None:
        command = [str(_POSTGRES / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program} failed: {done.stderr}{done.stdout}"

    def start(self) -> None:
        data, log = self._directory / "data", self._directory / "log"
        self.run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        options = f"-p {self._port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", str(data), "-w", "-s", "-o", options, "-l", str(log), "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self._directory / "data"), "-m", "immediate", "-w", "-s", "stop")

    def new_database(self) -> str:
        name = f"moorage{next(_database_numbers)}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres", name)
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL 15 of our own on a free port, without fsync, gone with the session."""
    if not (_POSTGRES / "initdb").exists():
        missing("PostgreSQL 15")
    # Not pytest's tmp_path: its parents are closed to the user that the server runs as.
    with TemporaryDirectory(prefix="moorage-postgres-") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        server = PostgresServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that lead to an empty database of each kind, and to a data directory of its own."""
    if request.param == "sqlite":
        return Settings(data=tmp_path / "data")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Settings(data=tmp_path / "data", database_url=server.new_database())


@pytest.fixture
async def database(database_settings: Settings) -> AsyncIterator[Database]:
    """An empty metadata database with its schema: the test runs once on SQLite and once on PostgreSQL."""
    opened = await open_database(database_settings)
    yield opened
    await opened.close()
