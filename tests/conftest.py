"""Fixtures of all tests: a metadata database of each kind, the components over one, and a private PostgreSQL server."""

import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from moorage.settings import Settings
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database import open as opening
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import _migrate_sqlite, open_database
from moorage.store.metadata.migrations import History
from tests.support.backend import APP, BY, Backend
from tests.support.postgres import PostgresServer

# A deadline is a timed assertion: on a busy machine it fails for no fault of the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_TESTS = Path(__file__).parent
_SYSTEM_FOLDERS = {"attacks", "bounds", "clients", "docs", "end_to_end", "faults"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what `make check` and the processes of a parallel run have to know about it.

    The marks follow from the tests, so that no list of them has to be kept. Tests of one group run in one process, one
    after the other.
    """
    for item in items:
        if _is_system_test(item):
            item.add_marker(pytest.mark.system)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    """Return the file, whose fixtures of module scope are then made once. Tests of the policy engine have none."""
    path = item.path.relative_to(_TESTS)
    if path.parts[0] == "clients" and path.name != "test_conformance.py":
        return "clients"  # one dockerd, one containerd and one server on port 443 at a time
    if path.parts[0] == "policy" and isinstance(item, pytest.Function):
        return f"{path}::{item.originalname}"
    return str(path)


def _is_system_test(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return (
        item.path.relative_to(_TESTS).parts[0] in _SYSTEM_FOLDERS
        or hasattr(item.module, "ServerProcess")
        or hasattr(item.module, "MOORAGE")
        or "postgres" in item.fixturenames
        or "postgresql" in parameters
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own on a free port, without fsync, gone with the session."""
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
