"""A registry whose sealing key is missing, another one or damaged does not start, and says what helps."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from moorage.data_directory import UnusableDataError
from moorage.identity.accounts.deployment import open_sealer
from moorage.sealing import new_key
from moorage.settings import Settings
from moorage.store.metadata.database.open import open_database
from tests.support.server_process import MOORAGE, ServerProcess, run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run([MOORAGE, "init", "--data", str(tmp_path / "data")])
    return tmp_path / "data"


def refusal(data: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    done = run([MOORAGE, *arguments, "--data", str(data)], check=False, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_missing_key_is_not_made_again(data: Path) -> None:
    key = (data / "sealing.key").read_text()
    (data / "sealing.key").unlink()
    for command in (("serve", "--port", "0"), ("init", "--account", "444455556666"), ("export", "--on-host")):
        assert "sealing.key" in refusal(data, *command)
        assert not (data / "sealing.key").exists()
    assert "Restore it from a backup" in refusal(data, "serve", "--port", "0")
    (data / "sealing.key").write_text(key)
    server = ServerProcess(data, command="serve").start()
    assert server.stop() == 0


def test_another_key(data: Path) -> None:
    key = (data / "sealing.key").read_text()
    (data / "sealing.key").write_text(new_key() + "\n")
    assert "is not the key that secrets" in refusal(data, "serve", "--port", "0")
    (data / "sealing.key").write_text(f"{new_key()}\n{key}")  # as a rotation does it
    server = ServerProcess(data, command="serve").start()
    assert server.stop() == 0


@pytest.mark.parametrize("text", ["", "no base64!", "c2hvcnQ="])
def test_a_damaged_key(data: Path, text: str) -> None:
    (data / "sealing.key").write_text(text)
    assert "does not hold sealing keys" in refusal(data, "serve", "--port", "0")


def test_a_database_of_before_is_tried_by_a_secret_in_it(data: Path) -> None:
    with sqlite3.connect(data / "moorage.db") as database:
        database.execute("DELETE FROM deployment")
    key = (data / "sealing.key").read_text()
    (data / "sealing.key").write_text(new_key() + "\n")
    assert "is not the key" in refusal(data, "serve", "--port", "0")
    (data / "sealing.key").write_text(key)
    server = ServerProcess(data, command="serve").start()
    assert server.stop() == 0


@pytest.mark.parametrize("remembers", [True, False])
def test_dev_mode_refuses_the_data_of_serve(data: Path, remembers: bool) -> None:
    if not remembers:
        with sqlite3.connect(data / "moorage.db") as database:
            database.execute("DELETE FROM deployment WHERE name = 'mode'")
    assert "set up by `moorage init` for `moorage serve`" in refusal(data, "dev", "--port", "0")


async def test_dev_mode_refuses_a_database_of_serve_from_any_directory(data: Path) -> None:
    (data / "registry.json").unlink()
    settings = Settings(mode="dev", data=data)
    database = await open_database(settings)
    with pytest.raises(UnusableDataError, match="In dev mode every user"):
        await open_sealer(settings, database)
    await database.close()


def test_serve_wants_a_database_in_which_an_account_is(data: Path) -> None:
    (data / "moorage.db").unlink()
    assert "Restore it from a backup, or run `moorage init`" in refusal(data, "serve", "--port", "0")
    key = (data / "credentials").read_text()
    run([MOORAGE, "init", "--data", str(data)])
    assert (data / "credentials").read_text() == key
    server = ServerProcess(data, command="serve").start()
    assert server.stop() == 0


def test_workers_and_init_at_once_keep_one_text(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)

    async def once() -> None:
        database = await open_database(settings)
        await open_sealer(settings, database)
        await database.close()

    async def together() -> None:
        await asyncio.gather(*(once() for _ in range(8)))

    asyncio.run(together())
    with sqlite3.connect(tmp_path / "moorage.db") as database:
        assert database.execute("SELECT count(*) FROM deployment").fetchone() == (1,)
