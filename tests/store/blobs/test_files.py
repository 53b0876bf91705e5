"""Blobs as files: what is appended is what is read, whatever broke off in between."""

import asyncio
import errno
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.errors import BodyIncomplete, InsufficientStorage
from moorage.store.blobs import files, held, transfer
from moorage.store.blobs.files import FileBlobStore
from moorage.store.blobs.locking import Attempt
from moorage.store.blobs.store import Appended, BusyError, TakenOverError
from moorage.store.blobs.transfer import BATCH

MIB = 1 << 20


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileBlobStore]:
    opened = FileBlobStore(tmp_path)
    yield opened
    await opened.close()


async def stream(*chunks: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


def open_files() -> set[Path]:
    return {each.resolve() for each in Path("/proc/self/fd").iterdir()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def append(store: FileBlobStore, upload: str, offset: int, body: AsyncIterator[bytes]) -> Appended:
    async with store.hold(upload) as holding:
        return await holding.append(offset, body)


async def digest(store: FileBlobStore, upload: str, algorithm: str) -> str:
    async with store.hold(upload) as holding:
        return await holding.digest(algorithm)


async def size(store: FileBlobStore, upload: str) -> int:
    async with store.hold(upload) as holding:
        return 0 if holding.is_committed else await holding.size()


async def commit(store: FileBlobStore, upload: str) -> None:
    async with store.hold(upload) as holding:
        await holding.commit()


async def put(store: FileBlobStore, key: str, content: bytes) -> None:
    """The object `key` with `content`."""
    await append(store, key, 0, stream(content))
    await commit(store, key)


async def whole(store: FileBlobStore, key: str, length: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, 0, length)])


@pytest.mark.parametrize("length", [0, 1, 65_536, BATCH - 1, BATCH, BATCH + 1, 5 * MIB + 7])
async def test_what_is_appended_is_what_is_read(store: FileBlobStore, length: int) -> None:
    content = os.urandom(length)
    chunks = [content[start : start + 70_000] for start in range(0, length, 70_000)]
    assert await append(store, "upload", 0, stream(*chunks)) == (length, sha256(content))
    assert await size(store, "upload") == length
    await commit(store, "upload")
    assert await whole(store, "upload", length) == content
    assert await size(store, "upload") == 0


async def test_appends_follow_one_another_and_the_hash_runs_on(store: FileBlobStore) -> None:
    assert await append(store, "upload", 0, stream(b"one ")) == (4, sha256(b"one "))
    assert await append(store, "upload", 4, stream(b"two")) == (7, sha256(b"one two"))


async def test_another_process_goes_on_without_the_running_hash_and_can_make_it_again(
    store: FileBlobStore, tmp_path: Path
) -> None:
    await append(store, "upload", 0, stream(b"one "))
    other = FileBlobStore(tmp_path)
    assert await append(other, "upload", 4, stream(b"two ")) == (8, None)
    assert await digest(other, "upload", "sha256") == sha256(b"one two ")
    assert await append(other, "upload", 8, stream(b"three")) == (13, sha256(b"one two three"))
    # The first store's running hash is of a file that has changed since.
    assert await digest(store, "upload", "sha256") == sha256(b"one two three")
    await other.close()


async def test_a_stale_running_hash_is_not_believed(store: FileBlobStore, tmp_path: Path) -> None:
    await append(store, "upload", 0, stream(b"one "))
    other = FileBlobStore(tmp_path)
    await append(other, "upload", 0, stream(b"ONE "))
    assert await append(store, "upload", 4, stream(b"two")) == (7, None)
    assert await digest(store, "upload", "sha256") == sha256(b"ONE two")
    await other.close()


async def test_digest_of_either_algorithm(store: FileBlobStore) -> None:
    await append(store, "upload", 0, stream(b"content"))
    assert await digest(store, "upload", "sha256") == sha256(b"content")
    assert await digest(store, "upload", "sha512") == hashlib.sha512(b"content").hexdigest()


async def test_another_process_knows_the_digest_without_reading_the_file(
    store: FileBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, "upload", 0, stream(b"content"))
    upload = tmp_path / "uploads" / "upload"
    if "user.moorage" not in os.listxattr(upload):
        pytest.skip("this file system keeps no extended attributes")
    other = FileBlobStore(tmp_path)
    monkeypatch.setattr(hashlib, "new", None)  # what reading again would call
    assert await digest(other, "upload", "sha256") == sha256(b"content")
    await commit(other, "upload")
    assert await whole(store, "upload", 7) == b"content"
    await other.close()


def stalling(begun: asyncio.Event, go: asyncio.Event) -> AsyncIterator[bytes]:
    """A body of three batches that then neither ends nor goes on."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(BATCH)
        begun.set()
        await go.wait()

    return body()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "STALLED_SECONDS", 0.0)
    monkeypatch.setattr(held, "_LOOK_SECONDS", 0.01)


@pytest.mark.parametrize("in_another_process", [False, True])
@pytest.mark.usefixtures("impatient")
async def test_whoever_stalls_gives_way_to_whoever_waits(
    store: FileBlobStore, tmp_path: Path, in_another_process: bool
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(append(store, "upload", 0, stalling(begun, go)))
    await begun.wait()
    await asyncio.sleep(0.05)
    assert not first.done()  # nobody waits yet
    other = FileBlobStore(tmp_path) if in_another_process else store
    assert await append(other, "upload", 0, stream(b"second")) == (6, sha256(b"second"))
    with pytest.raises(TakenOverError):
        await first
    assert await digest(other, "upload", "sha256") == sha256(b"second")
    await commit(other, "upload")
    assert [each.kind async for each in store.leftovers()] == ["object"]
    if other is not store:
        await other.close()


async def test_one_that_flows_is_not_disturbed(
    store: FileBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.2)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def flowing() -> AsyncIterator[bytes]:
        while not ended.is_set():
            begun.set()
            await asyncio.sleep(0.01)
            yield bytes(1000)

    first = asyncio.create_task(append(store, "upload", 0, flowing()))
    await begun.wait()
    other = FileBlobStore(tmp_path)
    for each in (store, other):
        with pytest.raises(BusyError):
            await commit(each, "upload")
    ended.set()
    size_of_first = (await first).size
    await commit(other, "upload")
    with pytest.raises(LookupError):
        await append(store, "upload", size_of_first, stream(b"more"))
    assert await whole(store, "upload", size_of_first) == bytes(size_of_first)
    await other.close()


async def test_one_asks_for_all_who_wait(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client with many connections would keep all the threads busy."""
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.3)
    asked = 0
    succeeds = Attempt.succeeds

    def counting(attempt: Attempt) -> bool:
        nonlocal asked
        asked += 1
        return succeeds(attempt)

    monkeypatch.setattr(Attempt, "succeeds", counting)
    async with store.hold("upload"):
        refused = await asyncio.gather(*(commit(store, "upload") for _ in range(100)), return_exceptions=True)
    assert {type(each) for each in refused} == {BusyError}
    assert asked < 100  # were they to ask each for itself, each would several times
    await append(store, "upload", 0, stream(b"now"))


async def test_an_upload_that_is_aborted_takes_no_more_bytes(store: FileBlobStore) -> None:
    async def aborted() -> AsyncIterator[bytes]:
        yield bytes(BATCH)
        await store.abort("upload")
        yield bytes(BATCH)
        yield bytes(BATCH)
        yield bytes(BATCH)
        raise AssertionError("it was asked for more")

    with pytest.raises(LookupError):
        await append(store, "upload", 0, aborted())
    assert [each async for each in store.leftovers()] == []


async def test_an_object_that_nobody_knows_is_an_upload_again(store: FileBlobStore, tmp_path: Path) -> None:
    await append(store, "upload", 0, stream(b"whole"))
    await commit(store, "upload")
    other = FileBlobStore(tmp_path)
    async with other.hold("upload") as found:
        assert (found.is_committed, await found.digest("sha256")) == (True, sha256(b"whole"))
        await found.reopen()
        assert await found.append(5, stream(b" and more")) == (14, None)
    await commit(store, "upload")
    assert await whole(store, "upload", 14) == b"whole and more"
    await other.close()


async def test_a_canceled_wait_and_a_canceled_holder_let_go(store: FileBlobStore) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(append(store, "upload", 0, stalling(begun, go)))
    await begun.wait()
    second = asyncio.create_task(append(store, "upload", 0, stream(b"second")))
    await asyncio.sleep(0.1)
    for each in (second, first):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    assert await append(store, "upload", 0, stream(b"third")) == (5, sha256(b"third"))
    path = (store._uploads / "upload").resolve()
    assert path not in open_files()


@pytest.mark.parametrize("arrived", [b"", b"part", bytes(BATCH * 3 + 5)])
async def test_a_body_that_breaks_off_leaves_what_arrived_and_can_be_resumed(
    store: FileBlobStore, arrived: bytes
) -> None:
    with pytest.raises(BodyIncomplete):
        await append(store, "upload", 0, stream(arrived, then=BodyIncomplete()))
    assert await size(store, "upload") == len(arrived)
    resumed = await append(store, "upload", len(arrived), stream(b" and the rest"))
    assert resumed == (len(arrived) + 13, sha256(arrived + b" and the rest"))


async def test_a_cancelled_append_leaves_what_arrived(store: FileBlobStore) -> None:
    arrived = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(BATCH)
        yield b"part"
        arrived.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(append(store, "upload", 0, stalling()))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await size(store, "upload") == BATCH + 4
    assert await append(store, "upload", BATCH, stream(b"s")) == (BATCH + 1, None)


async def test_appending_further_back_drops_what_lay_beyond(store: FileBlobStore) -> None:
    await append(store, "upload", 0, stream(b"0123456789"))
    assert await append(store, "upload", 4, stream(b"x")) == (5, None)
    assert await digest(store, "upload", "sha256") == sha256(b"0123x")
    assert await append(store, "upload", 0, stream(b"anew")) == (4, sha256(b"anew"))


async def test_appending_beyond_the_end_is_refused_and_changes_nothing(store: FileBlobStore) -> None:
    await append(store, "upload", 0, stream(b"0123"))
    with pytest.raises(LookupError):
        await append(store, "upload", 5, stream(b"x"))
    assert await size(store, "upload") == 4
    with pytest.raises(LookupError):
        await append(store, "absent", 1, stream(b"x"))


@pytest.mark.parametrize("length", [10, BATCH * 4])
async def test_a_full_disk_is_told_by_name_and_frees_what_was_written(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    await append(store, "upload", 0, stream(b"before"))
    write = transfer.write_all

    def full(file: FileIO, content: bytes) -> None:
        write(file, content[: len(content) // 2])
        if file.tell() > length // 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "write_all", full)
    with pytest.raises(InsufficientStorage):
        await append(store, "upload", 6, stream(*[bytes(length // 10)] * 40))
    monkeypatch.undo()
    assert await size(store, "upload") == 6
    assert [each.name async for each in store.leftovers()] == ["upload"]
    assert (await append(store, "upload", 6, stream(b" after"))).size == 12
    assert await digest(store, "upload", "sha256") == sha256(b"before after")


async def test_ranges(store: FileBlobStore) -> None:
    content = os.urandom(3 * MIB + 100)
    await put(store, "key", content)
    for start, end in [
        (0, 0),
        (0, 1),
        (5, 10),
        (MIB - 1, MIB + 1),
        (100, len(content)),
        (len(content) - 1, len(content)),
    ]:
        assert b"".join([chunk async for chunk in store.read("key", start, end)]) == content[start:end]
    path = store.local_path("key")
    assert path is not None
    assert path.read_bytes() == content


@pytest.mark.parametrize("length", [10, 3 * MIB])
async def test_reading_what_is_gone_or_shorter_than_asked_raises_lookup_error(
    store: FileBlobStore, length: int
) -> None:
    with pytest.raises(LookupError):
        await whole(store, "key", length)
    await put(store, "key", bytes(length - 1))
    with pytest.raises(LookupError):
        await whole(store, "key", length)


async def test_a_reader_may_leave_half_way(store: FileBlobStore) -> None:
    await put(store, "key", bytes(4 * MIB))
    reading = store.read("key", 0, 4 * MIB)
    assert len(await anext(reading)) > 0
    await reading.aclose()  # type: ignore[attr-defined]
    assert store.local_path("key") not in open_files()


async def test_holding_what_is_not_there_leaves_nothing(store: FileBlobStore) -> None:
    async with store.hold("absent") as found:
        assert (found.is_committed, await found.size()) == (False, 0)
    assert [each async for each in store.leftovers()] == []


async def test_delete_and_abort_may_be_repeated(store: FileBlobStore) -> None:
    await put(store, "key", b"x")
    await append(store, "upload", 0, stream(b"x"))
    for _ in range(2):
        await store.delete("key")
        await store.abort("upload")
    assert [each async for each in store.leftovers()] == []


async def test_files_of_others_are_no_leftovers(store: FileBlobStore) -> None:
    """The sweep would fail at each of them, and delete nothing any more."""
    await put(store, "an-object", b"bytes")
    folder = store._object_path("an-object").parent
    for place in (folder, folder.parent, folder.parent.parent / "uploads"):
        (place / ".nfs0001").write_bytes(b"")
        (place / "notes.txt").write_bytes(b"")
        (place / "lost+found").mkdir()
    assert [each.name async for each in store.leftovers()] == ["an-object"]


async def test_leftovers_are_all_uploads_and_objects(store: FileBlobStore) -> None:
    await put(store, "key1", b"x")
    await put(store, "key2", b"x")
    await append(store, "upload", 0, stream(b"x"))
    found = [each async for each in store.leftovers()]
    assert {(each.kind, each.name) for each in found} == {("object", "key1"), ("object", "key2"), ("upload", "upload")}
    assert all(abs(each.modified_at - time.time()) < 60 for each in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    name=st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["..", "../x", "a/b", "x.y", "a\0b", ""])
)
def test_a_name_never_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    store = FileBlobStore(tmp_path)
    try:
        path = store.local_path(name)
    except ValueError:
        return
    assert path is not None
    assert path.parent.parent == tmp_path / "objects"
    assert path == Path(os.path.normpath(path))


_CRASHING = """
import asyncio, sys
from pathlib import Path
from moorage.store.blobs.files import FileBlobStore

async def body(content):
    yield content

async def main():
    store = FileBlobStore(Path(sys.argv[1]))
    number = 0
    while True:
        content = str(number).encode() * 50_000
        async with store.hold(f"key-{number}") as holding:
            await holding.append(0, body(content))
            await holding.commit()
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


async def test_a_killed_process_loses_no_object_it_acknowledged(store: FileBlobStore, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CRASHING, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(20)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    acknowledged = [line.decode().strip() for line in lines if line.endswith(b"\n")]
    assert len(acknowledged) >= 20
    for number in acknowledged:
        content = number.encode() * 50_000
        assert await whole(store, f"key-{number}", len(content)) == content


async def test_a_transfer_holds_a_few_mib_however_large_it_is(store: FileBlobStore) -> None:
    import tracemalloc

    async def long() -> AsyncIterator[bytes]:
        for _ in range(64 * 16):
            yield bytes(65_536)

    tracemalloc.start()
    await append(store, "upload", 0, long())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * MIB
