"""Locks of uploads: one holder among tasks and processes, which gives way when its body stalls."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.store.blobs import locks
from moorage.store.blobs.locks import FileLock, FileLocks
from moorage.store.blobs.pool import Pool
from moorage.store.blobs.store import TakenOverError, UploadBusyError


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool()
    yield made
    await made.close()


@pytest.fixture(params=["the same process", "another process"])
def both(tmp_path: Path, pool: Pool, request: pytest.FixtureRequest) -> tuple[FileLocks, FileLocks]:
    """The locks of two workers; open files exclude each other in one process as in two."""
    one = FileLocks(tmp_path / "locks", pool)
    return one, one if request.param == "the same process" else FileLocks(tmp_path / "locks", pool)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "STALLED_SECONDS", 0.0)
    monkeypatch.setattr(locks, "_CHECK_SECONDS", 0.01)


async def read(held: FileLocks, body: AsyncIterator[bytes]) -> int:
    async with held.hold("upload") as hold:
        return sum([len(chunk) async for chunk in hold.guard(body)])


def open_files() -> set[Path]:
    return {each.resolve() for each in Path("/proc/self/fd").iterdir()}


def stalling(begun: asyncio.Event) -> AsyncIterator[bytes]:
    """A body that neither ends nor goes on."""

    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        begun.set()
        await asyncio.Event().wait()

    return body()


async def ending() -> AsyncIterator[bytes]:
    yield b"second"


@pytest.mark.usefixtures("impatient")
async def test_a_holder_that_stalls_gives_way_to_one_that_waits(both: tuple[FileLocks, FileLocks]) -> None:
    begun = asyncio.Event()
    first = asyncio.create_task(read(both[0], stalling(begun)))
    await begun.wait()
    await asyncio.sleep(0.05)
    assert not first.done()  # nobody waits yet
    assert await read(both[1], ending()) == 6
    with pytest.raises(TakenOverError):
        await first


async def test_a_holder_that_makes_progress_is_not_disturbed(
    both: tuple[FileLocks, FileLocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.2)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def flowing() -> AsyncIterator[bytes]:
        while not ended.is_set():
            begun.set()
            await asyncio.sleep(0.01)
            yield bytes(1000)

    first = asyncio.create_task(read(both[0], flowing()))
    await begun.wait()
    for each in both:
        with pytest.raises(UploadBusyError):
            await read(each, ending())
    ended.set()
    assert await first > 1000
    assert await read(both[1], ending()) == 6


async def test_one_tries_for_all_that_wait(tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a client with many connections would keep all the threads busy."""
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.3)
    tried = 0
    acquire = FileLock.acquire

    def counting(lock: FileLock) -> bool:
        nonlocal tried
        tried += 1
        return acquire(lock)

    monkeypatch.setattr(FileLock, "acquire", counting)
    held = FileLocks(tmp_path / "locks", pool)
    async with held.hold("upload"):
        refused = await asyncio.gather(*(read(held, ending()) for _ in range(100)), return_exceptions=True)
    assert {type(each) for each in refused} == {UploadBusyError}
    assert tried < 100  # were each to try for itself, each would several times
    assert await read(held, ending()) == 6


async def test_a_canceled_wait_and_a_canceled_holder_unlock(tmp_path: Path, pool: Pool) -> None:
    held = FileLocks(tmp_path / "locks", pool)
    begun = asyncio.Event()
    first = asyncio.create_task(read(held, stalling(begun)))
    await begun.wait()
    second = asyncio.create_task(read(held, ending()))
    await asyncio.sleep(0.1)
    for each in (second, first):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    assert await read(held, ending()) == 6
    assert tmp_path / "locks" not in open_files()


async def test_other_uploads_are_not_locked(tmp_path: Path, pool: Pool) -> None:
    held = FileLocks(tmp_path / "locks", pool)
    async with held.hold("upload"):
        for number in range(100):
            async with held.hold(f"upload-{number}"):
                pass


_HOLDING = """
import sys
from pathlib import Path
from moorage.store.blobs.locks import FileLock

lock = FileLock(Path(sys.argv[1]), "upload")
assert lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


async def test_a_killed_holder_has_unlocked(tmp_path: Path, pool: Pool) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _HOLDING,
        str(tmp_path / "locks"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    lock = FileLock(tmp_path / "locks", "upload")
    assert not lock.acquire()
    process.kill()
    await process.wait()
    assert await read(FileLocks(tmp_path / "locks", pool), ending()) == 6
    lock.release()
