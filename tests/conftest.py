"""What tests of several parts share: a metadata database of each kind, and a private PostgreSQL server."""

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import psutil
import pytest

from moorage.settings import Settings
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database import open as opening
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import _migrate_sqlite, open_audit_database, open_database
from moorage.store.metadata.migrations import History
from tests.support.backend import APP, BY, Backend
from tests.support.server_process import free_port

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
    """A private server; `new_database` makes a database and returns its URL."""

    def __init__(self, directory: Path, *, fsync: bool = False) -> None:
        """`directory`: short, and given to the user that the server runs as."""
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        self._directory = directory
        self._fsync = "on" if fsync else "off"
        self._port = free_port()
        self._migrated: str | None = None

    def run(self, program: str, *arguments: str) -> None:
        command = [str(_POSTGRES / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program} failed: {done.stderr}{done.stdout}"

    def start(self) -> None:
        if not (_POSTGRES / "initdb").exists():
            missing("PostgreSQL 15")
        self.run("initdb", "-D", self._data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        self.start_again()

    def start_again(self) -> None:
        """Once it was started, and has ended."""
        options = f"-p {self._port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync={self._fsync}"
        self.run("pg_ctl", "-D", self._data, "-w", "-s", "-o", options, "-l", str(self._directory / "log"), "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "-s", "stop")

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        postmaster = psutil.Process(int((self._directory / "data" / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes, timeout=30)

    def new_database(self, *, template: str = "template1") -> str:
        """Make a copy of the database `template`: an empty one unless told otherwise."""
        name = f"moorage{next(_database_numbers)}"
        self.run("createdb", *self._login, "--template", template, name)
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    @contextlib.contextmanager
    def migrated_database(self) -> Iterator[str]:
        """The URL of a database that has the newest schema and no rows. It is dropped at the end.

        A copy of one that was migrated once, because the migrations take longer than most tests. Hundreds of
        databases that stay would take gigabytes, and most of a minute to delete.
        """
        if self._migrated is None:
            url = self.new_database()
            asyncio.run(_migrate(Settings(database_url=url)))
            self._migrated = url.rpartition("/")[2]
        url = self.new_database(template=self._migrated)
        try:
            yield url
        finally:
            self.run("dropdb", *self._login, "--force", url.rpartition("/")[2])

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    @property
    def _login(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres"


async def _migrate(settings: Settings) -> None:
    for opened in (await open_database(settings), await open_audit_database(settings)):
        await opened.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL 15 of our own on a free port, without fsync, gone with the session."""
    # Not pytest's tmp_path: its parents are closed to the user that the server runs as.
    with TemporaryDirectory(prefix="moorage-postgres-") as name:
        server = PostgresServer(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(autouse=True, scope="session")
def _migrate_sqlite_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make new SQLite databases of this process as copies of one that was migrated; migrate those that exist.

    The migrations of a new database take longer than most tests. Servers that tests start migrate as ever.
    """
    directory = tmp_path_factory.mktemp("migrated")
    copying = threading.Lock()

    def copy_or_migrate(path: Path, history: History) -> None:
        migrated = directory / history.folder
        with copying:
            if not path.exists():
                if not migrated.exists():
                    _migrate_sqlite(migrated, history)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(migrated, path)
        _migrate_sqlite(path, history)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_migrate_sqlite", copy_or_migrate)
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings that lead to a database of each kind without rows, and to a data directory of its own."""
    if request.param == "sqlite":
        yield Settings(data=tmp_path / "data")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.migrated_database() as url:
        yield Settings(data=tmp_path / "data", database_url=url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings that lead to a database of each kind without a schema: whoever opens it runs the migrations."""
    if request.param == "sqlite":
        monkeypatch.setattr(opening, "_migrate_sqlite", _migrate_sqlite)
        return Settings(data=tmp_path / "data")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Settings(data=tmp_path / "data", database_url=server.new_database())


@pytest.fixture
async def database(database_settings: Settings) -> AsyncIterator[Database]:
    """An empty metadata database with its schema: the test runs once on SQLite and once on PostgreSQL."""
    opened = await open_database(database_settings)
    yield opened
    await opened.close()


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    """Identity, registry and access over a new SQLite database; the owner has the empty repository `team/app`."""
    settings = Settings(data=tmp_path)
    database, audit = await open_database(settings), await AuditStore.open(settings)
    made = Backend.over(database, audit, settings)
    await made.registry.repositories.create(APP, by=BY)
    yield made
    await audit.close()
    await database.close()
