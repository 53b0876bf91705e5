"""Blobs as files: what only they do, beside the contract that every store fulfills."""

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.store.blobs import transfer
from moorage.store.blobs.files import BATCH, FileBlobStore
from moorage.store.blobs.store import Staged, StoreFullError, UploadGoneError
from tests.store.blobs.staging import MIB, append, put, stream, whole


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileBlobStore]:
    opened = FileBlobStore(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[FileBlobStore]:
    """The store of another worker."""
    opened = FileBlobStore(tmp_path)
    yield opened
    await opened.close()


def open_files() -> set[Path]:
    return {each.resolve() for each in Path("/proc/self/fd").iterdir()}


async def test_workers_append_in_turn(store: FileBlobStore, other: FileBlobStore) -> None:
    staged = await append(store, Staged("upload"), stream(b"one "))
    staged = await append(other, staged, stream(b"two "))
    staged = await append(store, staged, stream(b"three"))
    assert await other.commit(staged)  # they are surely the bytes that were appended
    assert await whole(store, "upload", 13) == b"one two three"


async def test_an_append_that_died_leaves_bytes_to_read_again(store: FileBlobStore, tmp_path: Path) -> None:
    """It may have written over what is recorded, so the digest that was computed on arrival proves nothing."""
    staged = await append(store, Staged("upload"), stream(b"one "))
    await append(store, staged, stream(b"of an append that died before it was recorded"))
    assert (tmp_path / "uploads" / "upload").stat().st_size > 4
    assert not await store.commit(staged)
    assert await whole(store, "upload", 4) == b"one "


async def test_bytes_of_another_boot_are_read_again(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = await append(store, Staged("upload"), stream(b"one "))
    monkeypatch.setattr(transfer, "_boot", lambda: "another boot")
    staged = await append(store, staged, stream(b"two"))
    assert not await store.commit(staged)
    assert await whole(store, "upload", 7) == b"one two"


async def test_the_file_of_another_append_is_not_taken_for_the_recorded_one(store: FileBlobStore) -> None:
    """Of the same length: its row was recorded by the loser of a race."""
    lost = await append(store, Staged("upload"), stream(b"lost"))
    await append(store, Staged("upload"), stream(b"kept"))
    assert not await store.commit(lost)


async def test_without_extended_attributes(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(os, "getxattr", refuse)
    staged = await append(store, Staged("upload"), stream(b"one "))
    staged = await append(store, staged, stream(b"two"))
    assert await store.commit(staged)
    lost = await append(store, Staged("other"), stream(b"lost"))
    await asyncio.sleep(0.02)
    await append(store, lost, stream(b" and more"))
    assert not await store.commit(lost)


async def test_bytes_that_a_crash_took_are_missed(store: FileBlobStore, tmp_path: Path) -> None:
    staged = await append(store, Staged("upload"), stream(b"as it was sent"))
    (tmp_path / "uploads" / "upload").write_bytes(b"as it")
    with pytest.raises(UploadGoneError):
        await append(store, staged, stream(b"more"))
    with pytest.raises(UploadGoneError):
        await store.commit(staged)


@pytest.mark.parametrize("length", [10, BATCH * 4])
async def test_a_full_disk_is_told_by_name_and_frees_what_was_written(
    store: FileBlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int
) -> None:
    staged = await append(store, Staged("upload"), stream(b"before"))
    write = transfer.write_all

    def full(file: FileIO, content: bytes) -> None:
        write(file, content[: len(content) // 2])
        if file.tell() > length // 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "write_all", full)
    with pytest.raises(StoreFullError):
        await append(store, staged, stream(*[bytes(length // 10)] * 40))
    monkeypatch.undo()
    assert (tmp_path / "uploads" / "upload").read_bytes() == b"before"
    staged = await append(store, staged, stream(b" after"))
    assert await store.commit(staged)
    assert await whole(store, "upload", 12) == b"before after"


async def test_an_empty_append_leaves_no_file(store: FileBlobStore) -> None:
    assert await append(store, Staged("upload"), stream()) == Staged("upload")
    assert [each async for each in store.leftovers()] == []


async def test_a_reader_may_leave_half_way(store: FileBlobStore) -> None:
    await put(store, "key", bytes(4 * MIB))
    reading = store.read("key", 0, 4 * MIB)
    assert len(await anext(reading)) > 0
    await reading.aclose()  # type: ignore[attr-defined]
    assert store.local_path("key") not in open_files()


async def test_appends_and_commits_close_their_files(store: FileBlobStore, tmp_path: Path) -> None:
    staged = await append(store, Staged("upload"), stream(b"one"))
    with pytest.raises(ConnectionError):
        await append(store, staged, stream(b"two", then=ConnectionError()))
    await store.commit(staged)
    assert not [each for each in open_files() if each.is_relative_to(tmp_path)]


async def test_files_of_others_are_no_leftovers(store: FileBlobStore) -> None:
    """The sweep would fail at each of them, and delete nothing any more."""
    await put(store, "an-object", b"bytes")
    path = store.local_path("an-object")
    assert path is not None
    folder = path.parent
    for place in (folder, folder.parent, folder.parent.parent / "uploads"):
        (place / ".nfs0001").write_bytes(b"")
        (place / "notes.txt").write_bytes(b"")
        (place / "lost+found").mkdir()
    assert [each.name async for each in store.leftovers()] == ["an-object"]


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
from moorage.store.blobs.store import Staged

async def body(content):
    yield content

async def main():
    store = FileBlobStore(Path(sys.argv[1]))
    number = 0
    while True:
        content = str(number).encode() * 50_000
        staged = await store.append(Staged(f"key-{number}"), body(content))
        await store.commit(staged)
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
