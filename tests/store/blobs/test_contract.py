"""The contract of blob stores, over files and over memory with parts of 5 MiB."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.settings import Settings
from moorage.store.blobs.open import open_blob_store
from moorage.store.blobs.reading import digest_of_object
from moorage.store.blobs.store import (
    LARGEST_PIECE,
    BlobStore,
    CommittedError,
    ObjectNotFoundError,
    Piece,
    Staged,
    UploadGoneError,
)
from tests.store.blobs.staging import MIB, append, put, sha256, stream, whole

PART = 5 * MIB


@pytest.fixture(params=["files", "memory"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[BlobStore]:
    opened = open_blob_store(Settings(data=tmp_path, ephemeral=True, blob_store=request.param))
    yield opened
    await opened.close()


def test_a_store_has_ten_methods() -> None:
    assert len([name for name in vars(BlobStore) if not name.startswith("_")]) == 10


@pytest.mark.parametrize("length", [0, 1, 65_536, MIB - 1, MIB, MIB + 1, PART - 1, PART, PART + 1, 11 * MIB + 7])
async def test_what_is_appended_is_what_is_read(store: BlobStore, length: int) -> None:
    content = os.urandom(length)
    chunks = [content[start : start + 70_000] for start in range(0, length, 70_000)]
    staged = await append(store, Staged("upload"), stream(*chunks))
    assert staged.size == length
    assert await store.length("upload") is None
    assert await store.commit(staged)
    assert await store.length("upload") == length
    assert await whole(store, "upload", length) == content
    assert await digest_of_object(store, "upload", length, "sha512")
    assert [each.kind async for each in store.leftovers()] == ["object"]


async def test_parts_have_the_size_of_the_store_and_pieces_are_shorter(store: BlobStore) -> None:
    staged = Staged("upload")
    for number in range(1, 14):
        staged = await append(store, staged, stream(bytes([number]) * MIB))
        assert staged.size == number * MIB
        assert store.part_size == 1 or {part.size for part in staged.parts} <= {store.part_size}
        assert sum(piece.size for piece in staged.pieces) < store.part_size
        assert all((piece.content is None) == (piece.size > LARGEST_PIECE) for piece in staged.pieces)
    assert await store.commit(staged)
    content = b"".join(bytes([number]) * MIB for number in range(1, 14))
    assert await whole(store, "upload", len(content)) == content


async def test_pieces_of_the_metadata_come_first(store: BlobStore) -> None:
    """Bytes that the registry kept in rows without asking the store."""
    staged = Staged("upload", pieces=(Piece(4, b"one "), Piece(4, b"two ")))
    staged = await append(store, staged, stream(b"three ", bytes(PART)))
    staged = staged._replace(pieces=(*staged.pieces, Piece(5, b" last")))
    assert await store.commit(staged)
    assert await whole(store, "upload", staged.size) == b"one two three " + bytes(PART) + b" last"


async def test_pieces_alone_become_an_object(store: BlobStore) -> None:
    assert await store.commit(Staged("upload", pieces=(Piece(4, b"one "), Piece(3, b"two"))))
    assert await whole(store, "upload", 7) == b"one two"


@pytest.mark.parametrize("recorded", [0, 1000, 2 * PART + 1000])
async def test_bytes_that_were_not_recorded_do_not_count(store: BlobStore, recorded: int) -> None:
    """An append died, or lost the race for the row: the next one begins where the recorded bytes end."""
    content = os.urandom(recorded)
    staged = await append(store, Staged("upload"), stream(content)) if content else Staged("upload")
    await append(store, staged, stream(b"lost" * PART))
    staged = await append(store, staged, stream(b"kept" * MIB))
    assert staged.size == recorded + 4 * MIB
    await store.commit(staged)
    assert await store.length("upload") == staged.size
    assert await whole(store, "upload", staged.size) == content + b"kept" * MIB


@pytest.mark.parametrize("arrived", [b"", b"few", bytes(2 * PART + 5)], ids=len)
@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError])
async def test_a_body_that_raises_changes_nothing(store: BlobStore, arrived: bytes, error: type[BaseException]) -> None:
    staged = await append(store, Staged("upload"), stream(b"before"))
    with pytest.raises(error):
        await append(store, staged, stream(arrived, then=error()))
    staged = await append(store, staged, stream(b" after"))
    assert await store.commit(staged)  # nothing has to be read again
    assert await whole(store, "upload", 12) == b"before after"


async def test_a_canceled_append_changes_nothing(store: BlobStore) -> None:
    arrived = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield bytes(PART + 1)
        arrived.set()
        await asyncio.Event().wait()

    staged = await append(store, Staged("upload"), stream(b"before"))
    task = asyncio.create_task(append(store, staged, stalling()))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.commit(staged)
    assert await whole(store, "upload", 6) == b"before"


@pytest.mark.parametrize("pieces", [(), (Piece(3, b"one"), Piece(3, b"two"))], ids=["parts", "pieces"])
@pytest.mark.parametrize("length", [0, PART + 1])
async def test_committing_again_succeeds(store: BlobStore, length: int, pieces: tuple[Piece, ...]) -> None:
    """The answer to the first commit was lost, or the transaction after it failed."""
    staged = await append(store, Staged("upload"), stream(bytes(length)))
    staged = staged._replace(pieces=(*staged.pieces, *pieces))
    assert await store.commit(staged)
    for _ in range(2):
        await store.commit(staged)  # perhaps with the answer that the bytes have to be read again
    content = bytes(length) + b"".join(piece.content or b"" for piece in pieces)
    assert await whole(store, "upload", staged.size) == content


@pytest.mark.parametrize("size", [5, PART, 2 * PART + 1000])
async def test_what_is_committed_can_be_reopened(store: BlobStore, size: int) -> None:
    content = os.urandom(size)
    staged = await append(store, Staged("upload"), stream(content))
    await store.commit(staged)

    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        yield b"x"

    with pytest.raises(CommittedError):
        await append(store, staged, body())
    assert asked == 0
    staged = await store.append(staged, stream(b" and more"), reopen=True)
    assert await store.length("upload") is None
    await store.commit(staged)
    assert await whole(store, "upload", size + 9) == content + b" and more"


@pytest.mark.parametrize("begun", [0, PART])
async def test_a_refused_append_leaves_little(store: BlobStore, begun: int) -> None:
    """However often a client tries, it fills no disk and no bucket."""
    staged = await append(store, Staged("upload"), stream(bytes(begun)))
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await append(store, staged, stream(bytes(PART), bytes(PART), then=ConnectionError()))
    left = [each.size async for each in store.leftovers()]
    assert sum(left) <= (begun + 2 * PART if begun else 0)


async def test_an_aborted_upload_is_gone(store: BlobStore) -> None:
    staged = await append(store, Staged("upload"), stream(bytes(PART + 1)))
    for _ in range(2):
        await store.abort("upload")
    assert [each async for each in store.leftovers()] == []
    with pytest.raises(UploadGoneError):
        await append(store, staged, stream(b"x"))
    with pytest.raises(UploadGoneError):
        await store.commit(staged)


async def test_an_upload_that_is_aborted_takes_no_more_bytes(store: BlobStore) -> None:
    async def aborted() -> AsyncIterator[bytes]:
        yield bytes(PART)
        await store.abort("upload")
        for _ in range(4):
            yield bytes(PART)
        raise AssertionError("it was asked for more")

    staged = await append(store, Staged("upload"), stream(bytes(PART)))
    with pytest.raises(UploadGoneError):
        await append(store, staged, aborted())
    assert [each async for each in store.leftovers()] == []


async def test_an_abort_spares_the_object(store: BlobStore) -> None:
    await put(store, "key", b"bytes")
    await store.abort("key")
    assert await whole(store, "key", 5) == b"bytes"


async def test_ranges(store: BlobStore) -> None:
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


@pytest.mark.parametrize("length", [10, 3 * MIB])
async def test_reading_what_is_gone_or_shorter_than_asked(store: BlobStore, length: int) -> None:
    with pytest.raises(ObjectNotFoundError):
        await whole(store, "key", length)
    await put(store, "key", bytes(length - 1))
    with pytest.raises(ObjectNotFoundError):
        await whole(store, "key", length)


async def test_delete_tells_whether_there_was_an_object(store: BlobStore) -> None:
    for keep in (False, True):
        await put(store, "key", b"bytes")
        assert [await store.delete("key", keep_for_examination=keep) for _ in range(2)] == [True, False]
        assert await store.length("key") is None
    assert [each async for each in store.leftovers()] == []


async def test_leftovers_are_all_uploads_and_objects(store: BlobStore) -> None:
    await put(store, "key1", b"x")
    await put(store, "key2", bytes(PART + 1))
    await append(store, Staged("upload"), stream(bytes(PART + LARGEST_PIECE + 1)))
    found = [each async for each in store.leftovers()]
    assert {(each.kind, each.name, each.size) for each in found} == {
        ("object", "key1", 1),
        ("object", "key2", PART + 1),
        ("upload", "upload", PART + LARGEST_PIECE + 1),
    }
    assert all(abs(each.modified_at - time.time()) < 60 for each in found)


async def test_clients_get_the_bytes_from_the_server(store: BlobStore) -> None:
    await put(store, "key", b"bytes")
    assert await store.url_for("key", seconds=60, content_type="application/octet-stream") is None
    path = store.local_path("key")
    assert path is None or path.read_bytes() == b"bytes"


async def test_an_append_holds_a_few_mib_however_long_the_body_is(store: BlobStore) -> None:
    """In memory beyond the parts that are stored there."""
    import tracemalloc

    async def long() -> AsyncIterator[bytes]:
        for _ in range(64 * 16):
            yield bytes(65_536)

    tracemalloc.start()
    staged = await append(store, Staged("upload"), long())
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert staged.size == 64 * MIB
    assert peak - kept < 5 * MIB if store.part_size == 1 else peak < 64 * MIB + 4 * PART


async def test_digests_of_objects(store: BlobStore) -> None:
    content = os.urandom(3 * MIB + 5)
    await put(store, "key", content)
    assert await digest_of_object(store, "key", len(content), "sha256") == sha256(content)
    with pytest.raises(ObjectNotFoundError):
        await digest_of_object(store, "none", 5, "sha256")
