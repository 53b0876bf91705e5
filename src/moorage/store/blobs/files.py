"""Blobs as files: uploads in `uploads/`, objects in `objects/XX/` (XX: the last two characters of the key).

Objects that were found damaged are moved to `damaged/`. Nothing reads or deletes them there.

An upload has one part, its file. Threads write to it in batches, off the event loop. One batch is on its way to the
disk while the next is received, so an append holds a few MiB however fast its client is.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from moorage.data_directory import flush_directory
from moorage.store.blobs.locks import FileLocks
from moorage.store.blobs.pool import Pool, uninterrupted
from moorage.store.blobs.store import Leftover, ObjectNotFoundError, Staged, UploadLocks
from moorage.store.blobs.transfer import Transfer, commit

BATCH: Final = 1 << 20
"""Bytes written at a time."""
READ_CHUNK: Final = 64 << 10
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:=-]{2,249}")  # no separator, no dot: cannot leave its folder


class FileBlobStore:
    """A `BlobStore` in a directory, which is created when it is missing. Worker processes may share it."""

    part_size = 1

    def __init__(self, root: Path) -> None:
        self._uploads = root / "uploads"
        self._objects = root / "objects"
        self._damaged = root / "damaged"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)
        self._pool = Pool()
        self.locks: UploadLocks = FileLocks(root / "locks", self._pool)

    async def append(self, staged: Staged, body: AsyncIterator[bytes], *, reopen: bool = False) -> Staged:
        paths = self._upload_path(staged.id), self._object_path(staged.id)
        transfer = await self._pool.do_whole(Transfer, self._pool, *paths, staged, reopen=reopen)
        in_flight: asyncio.Future[None] | None = None
        chunks: list[bytes] = []
        held = 0
        try:
            async for chunk in body:
                chunks.append(chunk)
                held += len(chunk)
                if held >= BATCH:
                    if in_flight is not None:
                        await uninterrupted(in_flight)
                    in_flight = self._pool.start(transfer.write, chunks)
                    chunks, held = [], 0
            if in_flight is not None:
                await uninterrupted(in_flight)
            return await self._pool.do_whole(transfer.finish, chunks)
        except BaseException:
            await uninterrupted(asyncio.ensure_future(self._give_up(transfer, in_flight)))
            raise

    async def _give_up(self, transfer: Transfer, in_flight: asyncio.Future[None] | None) -> None:
        with suppress(Exception):  # the caller raises what came first
            if in_flight is not None:
                await in_flight
        with suppress(OSError):  # the next append or `commit` drops the bytes
            await self._pool.do(transfer.undo)

    async def commit(self, staged: Staged) -> bool:
        if staged.pieces:
            staged = await self.append(staged, _nothing(), reopen=True)
        paths = self._upload_path(staged.id), self._object_path(staged.id)
        return await self._pool.do_whole(commit, *paths, staged)

    async def abort(self, upload: str) -> None:
        path = self._upload_path(upload)
        await self._pool.do(lambda: path.unlink(missing_ok=True))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        path = self._object_path(key)
        if end - start <= READ_CHUNK:
            if start < end:
                yield await self._pool.do(_read_once, path, start, end - start)
            return
        file = await self._pool.do(_open, path)
        coming: asyncio.Future[bytes] | None = None
        try:
            coming = self._pool.start(_read_at, file, start, min(READ_CHUNK, end - start))
            while coming is not None:
                chunk = await asyncio.shield(coming)
                start += len(chunk)
                coming = self._pool.start(_read_at, file, start, min(READ_CHUNK, end - start)) if start < end else None
                yield chunk
        finally:
            if coming is not None:  # the reader left: the file must not be closed during a read
                with suppress(OSError, ObjectNotFoundError):
                    await asyncio.shield(coming)
            file.close()

    async def url_for(self, key: str, *, seconds: float, content_type: str) -> str | None:  # noqa: ARG002 - of the contract
        return None

    def local_path(self, key: str) -> Path | None:
        return self._object_path(key)

    async def length(self, key: str) -> int | None:
        path = self._object_path(key)
        try:
            return (await self._pool.do(path.stat)).st_size
        except FileNotFoundError:
            return None

    async def delete(self, key: str, *, keep_for_examination: bool = False) -> bool:
        return await self._pool.do(self._set_aside if keep_for_examination else _delete, self._object_path(key))

    async def leftovers(self) -> AsyncIterator[Leftover]:
        for name, status in await self._pool.do(_listing, self._uploads):
            yield Leftover("upload", name, status.st_mtime, status.st_size)
        folders = await self._pool.do(lambda: [each for each in self._objects.iterdir() if each.is_dir()])
        for folder in (self._objects, *folders):
            for name, status in await self._pool.do(_listing, folder):
                yield Leftover("object", name, status.st_mtime, status.st_size)

    async def close(self) -> None:
        await self._pool.close()

    def _upload_path(self, upload: str) -> Path:
        return self._uploads / _checked(upload)

    def _object_path(self, key: str) -> Path:
        return self._objects / _checked(key)[-2:] / key

    # --- in a thread ---

    def _set_aside(self, path: Path) -> bool:
        self._damaged.mkdir(exist_ok=True)
        try:
            path.replace(self._damaged / path.name)
        except FileNotFoundError:
            return False
        flush_directory(self._damaged)
        return True


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _checked(name: str) -> str:
    """Return `name`; ValueError when it could be anything but a plain file name of ours."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not the name of an upload or object: {name!r}")
    return name


def _open(path: Path) -> FileIO:
    try:
        return FileIO(path, "r")
    except FileNotFoundError as error:
        raise ObjectNotFoundError(path.name) from error


def _read_at(file: FileIO, start: int, length: int) -> bytes:
    chunk = os.pread(file.fileno(), length, start)
    if not chunk:
        raise ObjectNotFoundError(f"the object ends at byte {start}")
    return chunk


def _read_once(path: Path, start: int, length: int) -> bytes:
    with _open(path) as file:
        chunk = _read_at(file, start, length)
        while len(chunk) < length:
            chunk += _read_at(file, start + len(chunk), length - len(chunk))
        return chunk


def _listing(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Return name and status of each file in the folder that has a name of ours."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) is None:  # somebody else's file
                continue
            with suppress(FileNotFoundError):  # it went away meanwhile
                found.append((entry.name, entry.stat()))
    return found
