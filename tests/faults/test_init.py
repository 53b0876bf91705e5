"""`moorage init`, killed at each of its writes: the next run finishes it, and no key that was there is ever lost."""

import asyncio
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.clock import Clock
from moorage.identity.accounts.deployment import open_sealer
from moorage.identity.identity import make_identity
from moorage.login import files
from moorage.names import AccountId
from moorage.settings import Settings
from moorage.store.metadata.database.open import open_database
from tests.support.server_process import MOORAGE, run

FIRST, SECOND = "111122223333", "444455556666"

# Ends as kill -9 does, at the Nth of the moments at which `init` changes something: a file that is opened for writing
# or named, a database that is opened. Commits are not seen, but files are written before and after each.
KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def hook(event, arguments):
    global left
    if event not in {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod", "sqlite3.connect"}:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    if "moorage-data" not in str(arguments[0]):
        return
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
sys.dont_write_bytecode = True
from moorage.cli import main
sys.addaudithook(hook)
main()
"""


def init(data: Path, account: str, *, killed_at: int) -> bool:
    """Whether it came to its end."""
    arguments = ["init", "--data", str(data), "--account", account]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(killed_at), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode == 0


def keys(data: Path) -> dict[str, tuple[str, str]]:
    parser = configparser.RawConfigParser()
    parser.read(data / "credentials")
    return {
        name: (parser.get(name, "aws_access_key_id"), parser.get(name, "aws_secret_access_key"))
        for name in parser.sections()
    }


async def roots(data: Path, account: str) -> list[str]:
    """The ids of the keys that the account's root really has."""
    settings = Settings(data=data)
    database = await open_database(settings)
    try:
        identity = make_identity(database, await open_sealer(settings, database), Clock())
        return [key.id for key in await identity.keys.list(AccountId(account), None)]
    finally:
        await database.close()


def finished(data: Path, account: str) -> None:
    """Another run finishes what a killed one began, or says that it was finished."""
    done = run([MOORAGE, "init", "--data", str(data), "--account", account], check=False)
    assert done.returncode == 0 or "is already set up in" in done.stderr, done.stderr
    assert asyncio.run(roots(data, account)) == [keys(data)[account][0]]
    assert (data / "registry.json").exists()


def test_killed_for_the_first_account(tmp_path: Path) -> None:
    for moment in range(0, 60, 4):  # not each of them: a run takes a second
        data = tmp_path / str(moment) / "moorage-data"
        data.parent.mkdir()
        if init(data, FIRST, killed_at=moment):
            break
        finished(data, FIRST)
    else:
        pytest.fail("it never came to its end")
    assert moment > 8


def test_killed_for_a_second_account(tmp_path: Path) -> None:
    data = tmp_path / "moorage-data"
    assert init(data, FIRST, killed_at=1000)
    first = keys(data)[FIRST]
    for moment in range(0, 60, 3):
        is_done = init(data, SECOND, killed_at=moment)
        assert keys(data)[FIRST] == keys(data)["default"] == first
        if is_done:
            break
    else:
        pytest.fail("it never came to its end")
    finished(data, SECOND)
    assert asyncio.run(roots(data, FIRST)) == [first[0]]


def test_a_key_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    data = tmp_path / "moorage-data"
    assert init(data, FIRST, killed_at=1000)

    async def delete() -> None:
        settings = Settings(data=data)
        database = await open_database(settings)
        identity = make_identity(database, await open_sealer(settings, database), Clock())
        await identity.keys.delete(AccountId(FIRST), None, keys(data)[FIRST][0], by="tests")
        await database.close()

    asyncio.run(delete())
    assert run([MOORAGE, "init", "--data", str(data), "--account", FIRST], check=False).returncode == 1
    assert asyncio.run(roots(data, FIRST)) == []


def test_private_files_are_flushed_before_they_replace_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, replace = os.fsync, Path.replace

    def note_flush(descriptor: int) -> None:
        done.append("flush")
        flush(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        done.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "replace", note_replace)
    files.write_private(tmp_path / "credentials", "text")
    assert done == ["flush", "replace", "flush"]
