"""What only SQLite promises: `changed`, one COMMIT for many, a crash that loses nothing, a full disk told as such."""

import asyncio
import errno
import fcntl
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text

from moorage.errors import InsufficientStorage
from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.database.sqlite import SqliteDatabase
from moorage.store.metadata.database.sqlite_connection import open_write_lock
from moorage.store.metadata.identity.tables import accounts
from tests.store.metadata.database.counting import counted


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = await open_database(Settings(data=tmp_path))
    assert isinstance(database, SqliteDatabase)
    yield database
    await database.close()


async def test_changed_stands_still_until_we_commit(sqlite: SqliteDatabase) -> None:
    first = sqlite.changed()
    await sqlite.read(counted)
    assert sqlite.changed() == first
    await sqlite.transaction(epoch.advance)
    second = sqlite.changed()
    assert second != first
    assert sqlite.changed() == second


async def test_changed_sees_what_another_process_commits(sqlite: SqliteDatabase) -> None:
    first = sqlite.changed()
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE epoch SET value = 7'); c.commit()"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(sqlite.path)], check=True)
    assert sqlite.changed() != first
    assert await sqlite.read(counted) == 7


async def test_reads_of_one_turn_share_a_snapshot_that_is_never_older_than_who_asks(sqlite: SqliteDatabase) -> None:
    loop = asyncio.get_running_loop()
    ours = sqlite3.connect(sqlite.path, isolation_level=None)
    seen: dict[str, int] = {}

    async def read(name: str) -> None:
        seen[name] = await sqlite.read(counted)

    async def one_turn() -> None:
        """A commit by another process between two reads, after which two requests arrive."""
        await read("first")
        ours.execute("UPDATE epoch SET value = value + 1")
        await read("second")
        arrived.append(loop.create_task(read("arrived")))

    arrived: list[asyncio.Task[None]] = []
    before = await sqlite.read(counted)
    await asyncio.sleep(0)
    await one_turn()
    await arrived[0]
    ours.close()
    assert seen == {"first": before, "second": before, "arrived": before + 1}


async def test_within_a_snapshot_changed_tells_of_that_snapshot(sqlite: SqliteDatabase) -> None:
    """Else what is remembered for the newest commit could have been read before it."""
    before = sqlite.changed()
    await asyncio.sleep(0)
    ours = sqlite3.connect(sqlite.path, isolation_level=None)
    read = await sqlite.read(counted)
    ours.execute("UPDATE epoch SET value = value + 1")
    assert sqlite.changed() == before
    await asyncio.sleep(0)
    assert sqlite.changed() != before
    assert await sqlite.read(counted) == read + 1
    ours.close()


async def test_a_read_after_a_commit_sees_it(sqlite: SqliteDatabase) -> None:
    async def one() -> None:
        before = await sqlite.read(counted)
        mine = await sqlite.transaction(advanced, durable=False)
        assert mine > before
        assert await sqlite.read(counted) >= mine

    def advanced(conn: Connection) -> int:
        epoch.advance(conn)
        return counted(conn)

    await asyncio.gather(*(one() for _ in range(50)))


async def test_works_that_wait_together_share_commits(sqlite: SqliteDatabase) -> None:
    before = sqlite.changed()
    seen = set()

    async def one() -> None:
        await sqlite.transaction(epoch.advance)
        seen.add(sqlite.changed())

    await asyncio.gather(*(one() for _ in range(64)))
    assert await sqlite.read(counted) == 65
    assert before not in seen
    assert len(seen) < 32, "64 works that waited together took 32 or more commits"


async def test_a_read_sees_one_snapshot(sqlite: SqliteDatabase) -> None:
    other = sqlite3.connect(sqlite.path, isolation_level=None)

    def work(conn: Connection) -> tuple[int, int]:
        first = counted(conn)
        other.execute("UPDATE epoch SET value = value + 1")
        return first, counted(conn)

    assert await sqlite.read(work) == (1, 1)
    await asyncio.sleep(0)
    assert await sqlite.read(counted) == 2
    other.close()


async def test_a_read_that_raises_leaves_the_connection_usable(sqlite: SqliteDatabase) -> None:
    def fail(conn: Connection) -> None:
        counted(conn)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await sqlite.read(fail)
    assert await sqlite.read(counted) == 1


async def test_a_cancelled_caller_takes_no_other_with_it(sqlite: SqliteDatabase) -> None:
    tasks = [asyncio.create_task(sqlite.transaction(epoch.advance)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
    await sqlite.transaction(epoch.advance)


async def test_a_full_disk_is_told_by_name_and_changes_nothing(sqlite: SqliteDatabase) -> None:
    def fill(conn: Connection) -> None:
        pages = conn.execute(text("PRAGMA page_count")).scalar_one()
        conn.execute(text(f"PRAGMA max_page_count = {pages + 10}"))
        for number in range(1000):
            conn.execute(insert(accounts).values(id=f"{number:012}", name="x" * 4000, created_at=1.0))

    results = await asyncio.gather(sqlite.transaction(fill), sqlite.transaction(epoch.advance), return_exceptions=True)
    assert isinstance(results[0], InsufficientStorage)
    assert await sqlite.read(lambda conn: conn.execute(select(func.count()).select_from(accounts)).scalar_one()) == 0
    assert await sqlite.read(counted) == (1 if isinstance(results[1], Exception) else 2)
    await sqlite.transaction(epoch.advance)


async def test_two_databases_on_one_file_lose_no_update(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first, second = await open_database(settings), await open_database(settings)
    await asyncio.gather(*(each.transaction(epoch.advance) for each in (first, second) for _ in range(40)))
    assert await first.read(counted) == await second.read(counted) == 81
    await first.close()
    await second.close()


async def test_closing_finishes_what_waits_and_refuses_more(sqlite: SqliteDatabase) -> None:
    waiting = [asyncio.create_task(sqlite.transaction(epoch.advance)) for _ in range(5)]
    await asyncio.sleep(0)
    await sqlite.close()
    await asyncio.gather(*waiting)
    with pytest.raises(RuntimeError, match="closed"):
        await sqlite.transaction(epoch.advance)


_CRASHING = """
import asyncio, sys
from pathlib import Path
from sqlalchemy import insert
from moorage.settings import Settings
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.identity.tables import accounts

async def main():
    database = await open_database(Settings(data=Path(sys.argv[1])))
    async def one(number):
        work = lambda conn: conn.execute(insert(accounts).values(id=str(number), name="a", created_at=1.0)) and None
        await database.transaction(work, durable=number % 2 == 0)
        print(number, flush=True)
    number = 0
    while True:
        await asyncio.gather(*(one(number + each) for each in range(8)))
        number += 8

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CRASHING, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(100)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    acknowledged = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    database = await open_database(Settings(data=tmp_path))
    kept = await database.read(lambda conn: set(conn.execute(select(accounts.c.id)).scalars()))
    await database.close()
    assert len(acknowledged) >= 100
    assert acknowledged <= kept


class _SlowDisk:
    """An fdatasync that takes until `let_go`, and notes what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushes = 0
        self.error: OSError | None = None
        self._free = threading.Event()
        monkeypatch.setattr("moorage.store.metadata.database.sqlite_flusher.os.fdatasync", self._flush)

    def _flush(self, descriptor: int) -> None:
        assert Path(f"/proc/self/fd/{descriptor}").readlink().name == "moorage.db-wal"
        self.flushes += 1
        assert self._free.wait(30)
        if self.error is not None:
            raise self.error

    def let_go(self) -> None:
        self._free.set()


async def test_only_what_must_be_durable_waits_for_the_disk(
    sqlite: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _SlowDisk(monkeypatch)
    durable = [asyncio.create_task(sqlite.transaction(epoch.advance)) for _ in range(3)]
    await sqlite.transaction(epoch.advance, durable=False)
    await sqlite.transaction(epoch.advance, durable=False, long=True)
    assert await sqlite.read(counted) == 6
    while not disk.flushes:  # noqa: ASYNC110 - the flush is another thread's
        await asyncio.sleep(0.01)
    assert [task.done() for task in durable] == [False] * 3
    late = [asyncio.create_task(sqlite.transaction(epoch.advance)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert disk.flushes == 1
    disk.let_go()
    await asyncio.gather(*durable, *late)
    assert disk.flushes == 2, "what came during a flush takes one more, and only one"


async def test_nothing_is_called_durable_after_a_flush_that_failed(
    sqlite: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _SlowDisk(monkeypatch)
    disk.error = OSError(errno.EIO, "broken")
    disk.let_go()
    with pytest.raises(OSError, match="broken"):
        await sqlite.transaction(epoch.advance)
    disk.error = None
    with pytest.raises(OSError, match="broken"):
        await sqlite.transaction(epoch.advance)
    await sqlite.transaction(epoch.advance, durable=False)
    assert await sqlite.read(counted) == 4


async def test_a_gate_that_is_shut_does_not_hold_the_loop(sqlite: SqliteDatabase) -> None:
    with open_write_lock(sqlite.path) as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        waiting = [asyncio.create_task(sqlite.transaction(epoch.advance)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert await sqlite.read(counted) == 1
        fcntl.flock(gate, fcntl.LOCK_UN)
        await asyncio.gather(*waiting)
    await sqlite.transaction(epoch.advance)
    assert await sqlite.read(counted) == 5


async def test_another_programs_transaction_does_not_hold_the_loop(sqlite: SqliteDatabase) -> None:
    other = sqlite3.connect(sqlite.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(sqlite.transaction(epoch.advance))
    await asyncio.sleep(0.05)
    assert await sqlite.read(counted) == 1
    assert not waiting.done()
    other.execute("COMMIT")
    await waiting
    assert await sqlite.read(counted) == 2
    other.close()


async def test_a_long_work_runs_beside_the_loop(sqlite: SqliteDatabase) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work(conn: Connection) -> int:
        started.set()
        assert go_on.wait(30)
        epoch.advance(conn)
        return counted(conn)

    long = asyncio.create_task(sqlite.transaction(work, long=True))
    await asyncio.to_thread(started.wait, 30)
    behind = asyncio.create_task(sqlite.transaction(epoch.advance))
    await asyncio.sleep(0.05)
    assert await sqlite.read(counted) == 1
    go_on.set()
    assert await long == 2
    await behind
    assert await sqlite.read(counted) == 3


async def test_a_log_that_grows_is_begun_anew(sqlite: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.store.metadata.database.sqlite_log.CHECKPOINT_COMMITS", 5)
    monkeypatch.setattr("moorage.store.metadata.database.sqlite_log.LONGEST", 20)
    for number in range(400):
        name = f"{number:012}"
        await sqlite.transaction(
            lambda conn, name=name: conn.execute(insert(accounts).values(id=name, name="x" * 9000, created_at=1.0)),  # type: ignore[misc]
            durable=number % 10 == 0,
        )
    frames = Path(f"{sqlite.path}-wal").stat().st_size // 4120  # noqa: ASYNC240
    assert frames < 1200, "400 commits of three pages and more are still in the log"
    assert await sqlite.read(lambda conn: conn.execute(select(func.count()).select_from(accounts)).scalar_one()) == 400
